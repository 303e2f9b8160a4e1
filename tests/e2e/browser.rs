//! The whole login as people see it: in headless Chromium, with pictures of every page that Adit itself shows.

use serde_json::json;

use crate::harness::{
    browser::parameter,
    chromium::{Chromium, Tab},
    company::{Company, is_callback},
};

const ALICE: (&str, &str) = ("alice", "alicepass");

/// At the provider's form: who one is, and yes.
async fn signs_in(tab: &mut Tab<'_>, (user, password): (&str, &str)) {
    tab.fill("User", user).await;
    tab.fill("Password", password).await;
    tab.click("Sign in").await;
    assert_eq!(tab.heading().await, "Allow access");
    tab.click("Allow").await;
}

/// Nothing but the status of the page itself, which browsers report, was said on the console.
async fn is_silent(tab: &mut Tab<'_>) {
    let said = tab.said().await;
    let other = said.iter().filter(|line| {
        !line.starts_with("error: Failed to load resource: the server responded with")
    });
    assert_eq!(other.count(), 0, "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_signs_out_and_comes_back() {
    let company = Company::interactive().await;
    let mut chromium = Chromium::start().await;
    let mut tab = chromium.tab(0);
    let deep = company.url("/reports?year=2026&page=2");

    tab.goto(&deep).await;
    assert!(tab.url().await.starts_with(company.provider.issuer()));
    signs_in(&mut tab, ALICE).await;
    assert_eq!(tab.arrive(&company.url("/")).await, deep);
    assert!(tab.text().await.contains("/reports?year=2026&page=2"));
    let sessions = tab.cookies().await;
    let session = sessions
        .iter()
        .find(|cookie| cookie["name"] == "__Host-adit_session")
        .expect("a session");
    assert_eq!(session["httpOnly"], true);
    assert_eq!(session["secure"], true);
    assert_eq!(session["sameSite"], "Lax");
    // What was kept for the way to the provider is gone.
    let kept = |name: &str| {
        sessions
            .iter()
            .any(|one| one["name"].as_str().unwrap().contains(name))
    };
    assert!(!kept("adit_nonce"), "{sessions:?}");

    tab.goto(&company.url("/adit/logout")).await;
    assert_eq!(tab.heading().await, "Sign out", "the provider asks");
    tab.click("Sign out").await;
    tab.arrive(&company.url("/adit/logout")).await;
    assert_eq!(tab.heading().await, "You are signed out");
    tab.is_finished("signed-out", &["Sign in again"]).await;
    is_silent(&mut tab).await;

    tab.click("Sign in again").await;
    assert_eq!(tab.heading().await, "Sign in");
    signs_in(&mut tab, ALICE).await;
    assert_eq!(tab.arrive(&company.url("/")).await, company.url("/"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a34_a_two_tabs_sign_in_at_once() {
    let company = Company::interactive().await;
    let mut chromium = Chromium::start().await;
    let (first, second) = (company.url("/first"), company.url("/second?b=c"));
    chromium.tab(0).goto(&first).await;
    chromium.tab(1).goto(&second).await;
    signs_in(&mut chromium.tab(0), ALICE).await;
    assert_eq!(chromium.tab(0).arrive(&company.url("/")).await, first);
    // The provider's second form is answered, too; it remembers that she agreed.
    let mut tab = chromium.tab(1);
    tab.fill("User", ALICE.0).await;
    tab.fill("Password", ALICE.1).await;
    tab.click("Sign in").await;
    assert_eq!(chromium.tab(1).arrive(&company.url("/")).await, second);
    for tab in [0, 1] {
        assert_eq!(chromium.tab(tab).goto(&company.url("/more")).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_back_after_signing_in_stays_signed_in() {
    let company = Company::interactive().await;
    let mut chromium = Chromium::start().await;
    let mut tab = chromium.tab(0);
    tab.goto(&company.url("/page")).await;
    signs_in(&mut tab, ALICE).await;
    let here = tab.arrive(&company.url("/")).await;
    // The redirects are not in the history; what is behind is the provider's consent, which leads forward again or says
    // that it was answered. The app itself is not lost.
    tab.back().await;
    assert_eq!(tab.goto(&company.url("/page")).await, 200);
    assert_eq!(tab.url().await, here);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callback_loaded_anew_leads_on() {
    let company = Company::start().await;
    let mut alice = company.browser();
    let sent = company.begin(&mut alice, "/page").await;
    let back = alice.follow_until(sent, is_callback).await;
    let callback = back.location().unwrap();
    let first = alice.open(&callback).await;
    assert_eq!(first.url, company.url("/page"));
    let again = alice.open(&callback).await;
    assert_eq!(again.url, company.url("/page"), "{again:?}");
    // Nobody else gets in by it.
    let page = company.browser().open(&callback).await;
    assert_eq!(page.status, 400, "{page:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_of_a_login_looks_finished() {
    let company = Company::interactive().await;
    let mut chromium = Chromium::start().await;
    let mut tab = chromium.tab(0);

    // Refused by the person, as by a provider that does not want them here.
    tab.goto(&company.url("/reports")).await;
    tab.click("Cancel").await;
    tab.arrive(&company.url("/adit/oauth2/callback")).await;
    assert_eq!(tab.heading().await, "The provider did not let you in");
    tab.is_finished("login-refused", &["Sign in again"]).await;
    is_silent(&mut tab).await;
    tab.click("Sign in again").await;
    assert_eq!(tab.heading().await, "Sign in");

    // A browser that has forgotten that it began: cookies were cleared, or a colleague sent the link.
    let asked = tab.url().await;
    tab.forget_cookies().await;
    let mut other = company.browser();
    let sent = company.begin(&mut other, "/reports").await;
    let state = parameter(&sent.location().unwrap(), "state").unwrap();
    assert!(asked.starts_with(company.provider.issuer()));
    let lost = company.url(&format!("/adit/oauth2/callback?code=c&state={state}"));
    assert_eq!(tab.goto(&lost).await, 400);
    tab.is_finished("sign-in-forgotten", &["Sign in again"])
        .await;
    is_silent(&mut tab).await;

    // Nothing there says where somebody came from.
    assert_eq!(tab.goto(&company.url("/adit/oauth2/callback")).await, 400);
    tab.is_finished("callback-by-hand", &["Sign in again"])
        .await;

    // A form sent without a session: its content would be lost on the way to the provider.
    tab.goto(&company.gateway.url("https://nobody.localhost/"))
        .await;
    let send = "async (to) => { const form = document.createElement('form'); form.method = 'post'; form.action = to; \
                document.body.append(form); form.submit(); }";
    // The page's own policy forbids forms, so it is sent from the provider's.
    tab.goto(&format!("{}/no-such-page", company.provider.issuer()))
        .await;
    tab.run(send, json!(company.url("/orders"))).await;
    tab.arrive(&company.url("/orders")).await;
    assert_eq!(tab.heading().await, "Sign in first");
    tab.is_finished("signed-out-form", &["Sign in again"]).await;
    is_silent(&mut tab).await;

    // While she signs in, the provider goes down.
    tab.goto(&company.url("/reports")).await;
    company.provider.fail_at("/token", 503).await;
    signs_in(&mut tab, ALICE).await;
    tab.arrive(&company.url("/adit/oauth2/callback")).await;
    assert_eq!(tab.heading().await, "The provider cannot be reached");
    tab.is_finished("provider-down", &["Try again"]).await;
    is_silent(&mut tab).await;
    company.provider.recover().await;
    tab.click("Try again").await;
    assert_eq!(tab.heading().await, "Sign in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a34_c_a_script_is_told_and_not_redirected() {
    let company = Company::start().await;
    let mut chromium = Chromium::start().await;
    let mut tab = chromium.tab(0);
    assert_eq!(tab.goto(&company.url("/app")).await, 200);
    let ask = "async (path) => { const answer = await fetch(path); return [answer.status, answer.redirected, await \
               answer.json()]; }";
    let told = tab.run(ask, json!("/api/orders")).await;
    assert_eq!(told[0], 200, "{told}");
    tab.forget_cookies().await;
    let ask = ask.replace(
        "fetch(path)",
        "fetch(path, { headers: { accept: 'application/json' } })",
    );
    let told = tab.run(&ask, json!("/api/orders")).await;
    assert_eq!((&told[0], &told[1]), (&json!(401), &json!(false)), "{told}");
    assert_eq!(told[2]["error_code"], "ERR_ADIT_3108");
    // What a page does with it: it goes there, and comes back to itself.
    let login = told[2]["details"]["login_url"].as_str().unwrap();
    tab.goto(&company.url(login)).await;
    assert_eq!(
        tab.arrive(&company.url("/api")).await,
        company.url("/api/orders")
    );
}
