//! People sign in at real providers and go on to where they were going; programs are told how.

use crate::harness::{
    Agent, Ask, Browser, CLIENT_SECRET, Gateway, Service,
    company::{APP, Company, Wanted, is_callback},
    glewlwyd::{self, Glewlwyd},
};

/// Headers by which the service is told who comes.
const IDENTITY: &str = ", { type: add-headers, config: { headers: { x-user-email: '${identity.email}', x-user-groups: \
                        \"${identity.groups.join(',')}\" } } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_and_lands_on_the_page_first_asked_for() {
    let company = Company::with(Wanted {
        actions: IDENTITY,
        ..Wanted::default()
    })
    .await;
    let mut alice = company.browser();
    let page = alice
        .open(&company.url("/reports?year=2026&of=a%20b"))
        .await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.url, company.url("/reports?year=2026&of=a%20b"));
    let request = company.service.only_request();
    assert_eq!(request.target, "/reports?year=2026&of=a%20b");
    assert_eq!(request.header("x-user-email"), Some("alice@example.test"));
    assert_eq!(request.header("x-user-groups"), Some("admins,dev"));
    // Nothing of the login reaches the service.
    assert_eq!(request.header("cookie"), None, "{request:?}");

    // The next request asks nobody, and what a browser says of itself does not count.
    let asked = company.provider.asked("/token").await;
    let forged = Ask {
        headers: &[("x-user-email", "boss@example.test")],
        ..Ask::default()
    };
    let page = alice.send(&company.url("/next"), forged).await;
    assert_eq!(page.status, 200, "{page:?}");
    let next = company.service.requests().pop().unwrap();
    assert_eq!(next.all("x-user-email"), ["alice@example.test"]);
    assert_eq!(company.provider.asked("/token").await, asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_at_another_provider() {
    if !glewlwyd::is_here() {
        eprintln!("not run: glewlwyd has a package on Debian and its kin only");
        return;
    }
    // It is asked for its address before the gateway can name it, so it comes first.
    let provider = Glewlwyd::start(&Gateway::start().await).await;
    let policy = format!(
        "{}endpoints:\n  - url: {APP}\n    traffic_policy:\n      on_http_request:\n        - actions:\n            - {{ type: \
         openid-connect, config: {{ issuer_url: '{}', client_id: edge, client_secret: '{CLIENT_SECRET}', scopes: [openid] }} \
         }}\n            - {{ type: add-headers, config: {{ headers: {{ x-user: '${{identity.name}}', x-mail: \
         '${{identity.email}}' }} }} }}\n",
        provider.allowed(),
        provider.issuer()
    );
    let gateway = Gateway::with(&policy).await;
    let service = Service::echo().await;
    let _agent = Agent::forward(&gateway, APP, service.addr()).await;
    provider.register(&gateway, "edge", APP).await;
    let mut alice = Browser::new(&gateway);
    let at_provider = alice.open(&format!("{APP}/deep?link=1")).await;
    let back = provider.sign_in(&mut alice, &at_provider, "edge").await;
    let page = alice.follow(back).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.url, gateway.url(&format!("{APP}/deep?link=1")));
    let request = service.only_request();
    assert_eq!(request.header("x-user"), Some("Alice"), "{request:?}");
    assert_eq!(request.header("x-mail"), Some("alice@example.test"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_told_where_people_sign_in() {
    let company = Company::start().await;
    let mut script = company.browser();
    for headers in [
        &[("accept", "application/json"), ("sec-fetch-mode", "cors")][..],
        &[
            ("accept", "*/*"),
            ("sec-fetch-mode", ""),
            ("sec-fetch-dest", ""),
        ],
    ] {
        let ask = Ask {
            headers,
            ..Ask::default()
        };
        let told = script.send(&company.url("/api/orders?page=2"), ask).await;
        assert_eq!(told.status, 401, "{told:?}");
        let challenge = told.header("www-authenticate").unwrap();
        assert!(challenge.contains("/adit/login"), "{challenge}");
        if headers[0].1 == "application/json" {
            let json = told.json();
            assert_eq!(json["error_code"], "ERR_ADIT_3108");
            assert_eq!(
                json["details"]["login_url"],
                "/adit/login?redirect_path=%2Fapi%2Forders%3Fpage%3D2"
            );
        }
    }
    assert!(company.service.requests().is_empty());
    // Whoever follows that URL with a browser comes to what was asked for.
    let to = company.url("/adit/login?redirect_path=%2Fapi%2Forders%3Fpage%3D2");
    let page = script.open(&to).await;
    assert_eq!(page.url, company.url("/api/orders?page=2"), "{page:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_out_is_out_here_and_at_the_provider() {
    let company = Company::start().await;
    let mut alice = company.sign_in().await;
    let before = alice.clone();
    let at_provider = alice.open(&company.url("/adit/logout")).await;
    assert!(
        at_provider.url.starts_with(company.provider.issuer()),
        "{at_provider:?}"
    );
    let page = alice.submit(&at_provider, &[("logout", "yes")]).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.url.starts_with(&company.url("/adit/logout")));
    assert!(page.body.contains("You are signed out"), "{page:?}");
    // The session is over, not only forgotten: an older copy of the cookie is worth nothing.
    let mut thief = before;
    let refused = Ask {
        headers: &[("accept", "application/json"), ("sec-fetch-mode", "cors")],
        ..Ask::default()
    };
    let told = thief.send(&company.url("/"), refused).await;
    assert_eq!(told.status, 401, "{told:?}");
    // And alice comes back by signing in again.
    let page = alice.open(&company.url("/again")).await;
    assert_eq!(page.url, company.url("/again"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_out_at_the_provider_is_out_here() {
    let company = Company::start().await;
    let mut alice = company.browser();
    let page = alice.open(&company.url("/")).await;
    assert_eq!(page.status, 200, "{page:?}");
    let identity = company.provider.sessions("alice").await;
    assert_eq!(identity.len(), 1, "{identity:?}");
    company.provider.trust(company.gateway.ca_pem()).await;
    company
        .provider
        .log_out("edge", "alice", &identity[0])
        .await;
    let page = alice.get(&company.url("/")).await;
    assert_eq!(page.status, 302, "{page:?}");
    let to = page.location().unwrap();
    assert!(to.starts_with(company.provider.issuer()), "{to}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_outlives_the_gateway() {
    let company = Company::start().await;
    let mut alice = company.sign_in().await;
    let Company {
        gateway,
        service,
        agent,
        provider,
    } = company;
    agent.close().await;
    let gateway = gateway.restart(std::time::Duration::from_secs(5)).await;
    let _agent = Agent::forward(&gateway, APP, service.addr()).await;
    let asked = provider.asked("/token").await;
    let page = alice.get(&format!("{APP}/after")).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(service.requests().pop().unwrap().target, "/after");
    assert_eq!(provider.asked("/token").await, asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_refuses_is_told_so_and_can_try_again() {
    let company = Company::interactive().await;
    let mut alice = company.browser();
    let form = alice.open(&company.url("/reports")).await;
    let page = alice.submit(&form, &[("answer", "deny")]).await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(is_callback(&page.url), "{page:?}");
    assert_eq!(page.header("adit-error-code"), Some("ERR_ADIT_3114"));
    assert!(page.body.contains("Sign in again"), "{page:?}");
    assert!(company.service.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_new_keys_or_an_outage_who_has_signed_in() {
    let mut company = Company::start().await;
    let mut alice = company.sign_in().await;
    for step in 0..4 {
        match step {
            0 => company.provider.rotate_keys(0).await,
            1 => company.provider.fail(503).await,
            2 => {
                company.provider.recover().await;
                company.provider.stop().await;
            }
            _ => company.provider.start_again().await,
        }
        for _ in 0..25 {
            let page = alice.get(&company.url("/")).await;
            assert_eq!(page.status, 200, "step {step}: {page:?}");
        }
    }
    // With the new keys, too, people get in.
    company
        .provider
        .register(&company.gateway, "edge", APP)
        .await;
    company.sign_in().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_get_in_right_after_the_provider_has_new_keys() {
    let company = Company::start().await;
    company.sign_in().await;
    company.provider.rotate_keys(0).await;
    company.sign_in().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_while_the_provider_is_down() {
    let mut company = Company::start().await;
    company.provider.stop().await;
    let mut bob = company.browser();
    let page = bob.open(&company.url("/reports")).await;
    assert_eq!(page.status, 503, "{page:?}");
    assert_eq!(page.header("adit-error-code"), Some("ERR_ADIT_3160"));
    assert!(page.header("retry-after").is_some());
    assert!(company.service.requests().is_empty());
    company.provider.start_again().await;
    company
        .provider
        .register(&company.gateway, "edge", APP)
        .await;
    let page = crate::harness::soon("the provider to be asked again", async {
        loop {
            let page = bob.open(&company.url("/reports")).await;
            if page.status == 200 {
                return page;
            }
        }
    })
    .await;
    assert_eq!(page.url, company.url("/reports"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_hangs_keeps_nobody_waiting_for_ever() {
    let company = Company::start().await;
    let mut alice = company.sign_in().await;
    let mut bob = company.browser();
    let sent = company.begin(&mut bob, "/reports").await;
    let back = bob.follow_until(sent, is_callback).await;
    company.provider.hold_at("/token").await;
    let (callback, home) = (back.location().unwrap(), company.url("/"));
    let (page, others) = tokio::join!(bob.open(&callback), alice.open(&home));
    assert_eq!(others.status, 200, "{others:?}");
    assert_eq!(page.status, 503, "{page:?}");
    assert_eq!(page.header("adit-error-code"), Some("ERR_ADIT_3160"));
    company.provider.recover().await;
}
