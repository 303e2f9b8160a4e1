//! To the provider and back.

use super::*;

#[tokio::test]
async fn whoever_signs_in_lands_on_the_page_first_asked_for() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    let sent = rig.visit(&mut browser, "/orders?page=2&q=a%20b").await;
    let url = sent.location.as_deref().unwrap();
    assert!(url.starts_with("https://id.example/authorize?"), "{url}");
    assert_eq!(
        part(url, "redirect_uri"),
        "https://app.example.com/adit/oauth2/callback"
    );
    assert_eq!(part(url, "again"), "false");
    let back = rig
        .visit(&mut browser, &Rig::callback(&sent, "alice"))
        .await;
    assert_eq!(back.location.as_deref(), Some("/orders?page=2&q=a%20b"));
    assert_eq!(browser.named("__Host-adit_"), ["__Host-adit_session"]);
    let seen = rig.visit(&mut browser, "/orders").await;
    assert_eq!(seen.status, None);
    let identity = seen.identity.unwrap();
    assert_eq!((identity.kind, identity.id.as_str()), ("oidc", "alice"));
    assert_eq!(identity.email, "alice@corp.com");
    assert_eq!(identity.groups, ["staff"]);
    assert!(seen.cookies.is_empty());
}

#[tokio::test]
async fn a_program_is_told_where_to_sign_in() {
    let rig = Rig::with("auth_id: shop", Scripted::default());
    let seen = rig.visit(&mut Browser::new().program(), "/api?a=b").await;
    assert_eq!((seen.status, seen.code), (Some(401), Some(3108)));
    assert_eq!(
        seen.link.as_deref(),
        Some("/adit/login?auth_id=shop&redirect_path=%2Fapi%3Fa%3Db")
    );
    assert!(
        seen.body.contains("www-authenticate") && seen.body.contains("__Host-adit_session_shop")
    );
    let mut browser = Browser::new();
    browser.method = Method::POST;
    assert_eq!(rig.visit(&mut browser, "/").await.status, Some(401));
    browser.method = Method::HEAD;
    assert_eq!(rig.visit(&mut browser, "/").await.status, Some(302));
}

#[tokio::test]
async fn a33_a_no_state_or_none_of_ours_is_refused() {
    let rig = Rig::new();
    for (query, code) in [
        ("", 3120),
        ("?code=alice", 3120),
        ("?code=alice&state=a&state=b", 3120),
        ("?code=alice&state=short", 3300),
        ("?code=alice&state=0123456789abcdefghijk%22", 3300),
        ("?code=alice&state=0123456789abcdefghijkl", 3121),
    ] {
        let mut browser = Browser::new();
        let seen = rig
            .visit(&mut browser, &format!("/adit/oauth2/callback{query}"))
            .await;
        assert_eq!((seen.status, seen.code), (Some(400), Some(code)), "{query}");
        assert!(browser.cookies.is_empty());
    }
}

#[tokio::test]
async fn a33_b_a_state_is_used_once() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    let sent = rig.visit(&mut browser, "/a").await;
    let before = browser.clone();
    let callback = Rig::callback(&sent, "alice");
    assert_eq!(rig.visit(&mut browser, &callback).await.status, Some(302));
    // Whoever still has the cookie of the sign-in.
    let mut again = before;
    let seen = rig.visit(&mut again, &callback).await;
    assert_eq!((seen.status, seen.code), (Some(400), Some(3123)));
    assert!(again.named("__Host-adit_session").is_empty());
}

#[tokio::test]
async fn going_back_in_the_browser_leads_to_the_page() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    let sent = rig.visit(&mut browser, "/a").await;
    let callback = Rig::callback(&sent, "alice");
    rig.visit(&mut browser, &callback).await;
    let seen = rig.visit(&mut browser, &callback).await;
    assert_eq!(
        (seen.status, seen.location.as_deref()),
        (Some(302), Some("/a"))
    );
    let mut other = Browser::new();
    rig.sign_in(&mut other, "bob").await;
    assert_eq!(rig.visit(&mut other, &callback).await.code, Some(3121));
}

#[tokio::test]
async fn a33_c_a_state_of_another_browser_is_refused() {
    let rig = Rig::new();
    let (mut attacker, mut victim) = (Browser::new(), Browser::new());
    let sent = rig.visit(&mut attacker, "/").await;
    rig.visit(&mut victim, "/").await;
    let seen = rig
        .visit(&mut victim, &Rig::callback(&sent, "mallory"))
        .await;
    assert_eq!((seen.status, seen.code), (Some(400), Some(3121)));
    assert!(victim.named("__Host-adit_session").is_empty());
    // Nor does it help to send the own cookie under its name.
    let stolen = attacker.named("__Host-adit_nonce")[0].to_owned();
    let own = victim.named("__Host-adit_nonce")[0].to_owned();
    let own = victim.cookies[&own].clone();
    victim.cookies.insert(stolen, own);
    let seen = rig
        .visit(&mut victim, &Rig::callback(&sent, "mallory"))
        .await;
    assert_eq!((seen.status, seen.code), (Some(400), Some(3107)));
}

#[tokio::test]
async fn a33_d_e_f_each_code_meets_its_own_nonce_and_verifier() {
    let rig = Rig::new();
    for wrong in ["nonce", "challenge"] {
        let mut browser = Browser::new();
        let sent = rig.visit(&mut browser, "/").await;
        {
            let mut known = rig.provider.sent.lock().unwrap();
            let (challenge, nonce) = known.pop_first().unwrap();
            match wrong {
                "nonce" => known.insert(challenge, "other".to_owned()),
                _ => known.insert("other".to_owned(), nonce),
            };
        }
        let seen = rig
            .visit(&mut browser, &Rig::callback(&sent, "alice"))
            .await;
        assert_eq!(seen.status, Some(400), "{wrong}");
        assert!(browser.named("__Host-adit_session").is_empty());
        rig.provider.sent.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn a33_g_what_a_provider_says_of_an_error_is_not_shown() {
    let rig = Rig::new();
    for (error, status, code) in [
        ("access_denied", 403, 3114),
        ("server_error", 502, 3113),
        ("invalid_scope", 502, 3125),
        ("%3Cscript%3Ealert(1)%3C/script%3E", 502, 3112),
    ] {
        let mut browser = Browser::new();
        let sent = rig.visit(&mut browser, "/a").await;
        let state = part(sent.location.as_deref().unwrap(), "state");
        let target = format!(
            "/adit/oauth2/callback?error={error}&error_description=%3Cimg%20src=x%3E&state={state}"
        );
        let seen = rig.visit(&mut browser, &target).await;
        assert_eq!(
            (seen.status, seen.code),
            (Some(status), Some(code)),
            "{error}"
        );
        assert!(
            !seen.body.contains("<script") && !seen.body.contains("<img"),
            "{}",
            seen.body
        );
        assert_eq!(seen.link.as_deref(), Some("/adit/login?redirect_path=%2Fa"));
        assert!(browser.cookies.is_empty(), "the sign-in is over");
    }
}

#[tokio::test]
async fn a33_h_another_issuer_is_refused() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    let sent = rig.visit(&mut browser, "/").await;
    let callback = format!("{}&iss=https://evil.example", Rig::callback(&sent, "alice"));
    let seen = rig.visit(&mut browser, &callback).await;
    assert_eq!((seen.status, seen.code), (Some(400), Some(3126)));
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn a34_a_two_tabs_sign_in_at_once() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    let one = rig.visit(&mut browser, "/one").await;
    let two = rig.visit(&mut browser, "/two").await;
    for (sent, page) in [(&two, "/two"), (&one, "/one")] {
        let back = rig.visit(&mut browser, &Rig::callback(sent, "alice")).await;
        assert_eq!(back.location.as_deref(), Some(page));
    }
    assert_eq!(rig.visit(&mut browser, "/").await.status, None);
}

#[tokio::test]
async fn a34_b_abandoned_sign_ins_do_not_pile_up() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    for _ in 0..30 {
        rig.turn(Duration::from_secs(1));
        rig.visit(&mut browser, "/").await;
        assert!(browser.named("__Host-adit_nonce").len() <= 5);
    }
    assert_eq!(browser.named("__Host-adit_nonce").len(), 5);
    let last = rig.visit(&mut browser, "/last").await;
    let back = rig
        .visit(&mut browser, &Rig::callback(&last, "alice"))
        .await;
    assert_eq!(
        back.location.as_deref(),
        Some("/last"),
        "the newest is kept"
    );
    rig.turn(Duration::from_secs(15 * 60));
    browser.cookies.remove("__Host-adit_session");
    rig.visit(&mut browser, "/").await;
    assert_eq!(
        browser.named("__Host-adit_nonce").len(),
        1,
        "what is over is removed"
    );
}

#[tokio::test]
async fn signing_in_takes_a_quarter_of_an_hour_at_most() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    let sent = rig.visit(&mut browser, "/a").await;
    rig.turn(Duration::from_secs(15 * 60));
    let seen = rig
        .visit(&mut browser, &Rig::callback(&sent, "alice"))
        .await;
    assert_eq!((seen.status, seen.code), (Some(400), Some(3119)));
    assert_eq!(seen.link.as_deref(), Some("/adit/login?redirect_path=%2Fa"));
}

#[tokio::test]
async fn a41_c_a_provider_that_is_down_lets_nobody_in() {
    let rig = Rig::new();
    rig.fail(Some(Failed::Unreachable("no route".to_owned())));
    let mut browser = Browser::new();
    let seen = rig.visit(&mut browser, "/a").await;
    assert_eq!((seen.status, seen.code), (Some(503), Some(3160)));
    assert_eq!(seen.link.as_deref(), Some("/a"));
    rig.fail(None);
    let sent = rig.visit(&mut browser, "/a").await;
    rig.fail(Some(Failed::Misconfigured("secret".to_owned())));
    let seen = rig
        .visit(&mut browser, &Rig::callback(&sent, "alice"))
        .await;
    assert_eq!((seen.status, seen.code), (Some(502), Some(3125)));
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn the_sign_in_page_signs_in_again_and_keeps_the_way() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    let sent = rig
        .visit(&mut browser, "/adit/login?redirect_path=/b")
        .await;
    assert_eq!(part(sent.location.as_deref().unwrap(), "again"), "true");
    let back = rig.visit(&mut browser, &Rig::callback(&sent, "bob")).await;
    assert_eq!(back.location.as_deref(), Some("/b"));
    let sent = rig
        .visit(&mut browser, "/ngrok/login?redirect_path=//evil.example")
        .await;
    let back = rig.visit(&mut browser, &Rig::callback(&sent, "bob")).await;
    assert_eq!(back.location.as_deref(), Some("/"));
}

#[tokio::test]
async fn another_logins_paths_are_left_to_it() {
    let rig = Rig::new();
    let other = rig.beside("auth_id: b");
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    let sent = other.visit(&mut browser, "/").await;
    let callback = Rig::callback(&sent, "alice");
    assert_eq!(rig.visit(&mut browser, &callback).await.status, None);
    assert_eq!(
        other
            .visit(&mut browser, &callback)
            .await
            .location
            .as_deref(),
        Some("/")
    );
    assert_eq!(
        rig.visit(&mut browser, "/adit/logout?auth_id=b")
            .await
            .status,
        None
    );
    assert_eq!(
        browser.named("__Host-adit_session"),
        ["__Host-adit_session", "__Host-adit_session_b"]
    );
}
