//! How long a session lasts, where it is good, and how it ends.

use super::*;
use crate::body::{BodyFault, BodySource};
use bytes::Bytes;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a36_a_a_session_is_good_at_its_own_app_alone() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    let elsewhere = [
        Browser {
            host: "other.example.com",
            ..browser.program()
        },
        Browser {
            host: "app.example.com:8443",
            ..browser.program()
        },
        Browser {
            endpoint: "ep_2",
            ..browser.program()
        },
    ];
    for mut other in elsewhere {
        let seen = rig.visit(&mut other, "/").await;
        assert_eq!(seen.status, Some(401));
        assert!(other.cookies.is_empty(), "what cannot be read is removed");
    }
    let others = rig.beside("client_secret: guessed");
    assert_eq!(
        others.visit(&mut browser.program(), "/").await.status,
        Some(401)
    );
    let mut renamed = browser.program();
    let value = renamed.cookies.remove("__Host-adit_session").unwrap();
    renamed
        .cookies
        .insert("__Host-adit_session_b".to_owned(), value);
    assert_eq!(
        rig.beside("auth_id: b")
            .visit(&mut renamed, "/")
            .await
            .status,
        Some(401)
    );
    assert_eq!(rig.visit(&mut browser.program(), "/").await.status, None);
}

#[tokio::test]
async fn a36_b_an_altered_cookie_is_refused() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    let good = browser.cookies["__Host-adit_session"].clone();
    for at in (0..good.len()).step_by(29) {
        let mut altered = good.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let mut other = browser.program();
        let altered = String::from_utf8(altered).unwrap();
        other
            .cookies
            .insert("__Host-adit_session".to_owned(), altered);
        assert_eq!(rig.visit(&mut other, "/").await.status, Some(401), "{at}");
    }
    for forged in ["", "2.", "9.a", "2.a", "a.b", "{}"] {
        let mut other = browser.program();
        other
            .cookies
            .insert("__Host-adit_session".to_owned(), forged.to_owned());
        assert_eq!(
            rig.visit(&mut other, "/").await.status,
            Some(401),
            "{forged}"
        );
    }
}

#[tokio::test]
async fn a36_c_signing_in_makes_a_new_session() {
    let rig = Rig::new();
    let (mut attacker, mut victim) = (Browser::new(), Browser::new());
    rig.sign_in(&mut attacker, "mallory").await;
    victim.cookies.clone_from(&attacker.cookies);
    let sent = rig.visit(&mut victim, "/adit/login").await;
    rig.visit(&mut victim, &Rig::callback(&sent, "alice")).await;
    let id = |seen: Seen| seen.identity.unwrap().session.clone().unwrap().id;
    let fixed = id(rig.visit(&mut attacker, "/").await);
    let own = rig.visit(&mut victim, "/").await;
    assert_eq!(own.identity.as_ref().unwrap().id, "alice");
    assert_ne!(id(own), fixed);
}

#[tokio::test]
async fn a36_d_a_cookie_after_sign_out_is_worth_nothing() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    let mut thief = browser.program();
    let seen = rig.visit(&mut browser, "/adit/logout").await;
    assert_eq!(seen.status, Some(200));
    assert!(
        seen.body.contains("/adit/login?redirect_path=%2F"),
        "{}",
        seen.body
    );
    assert!(browser.cookies.is_empty());
    let seen = rig.visit(&mut thief, "/").await;
    assert_eq!((seen.status, seen.code), (Some(401), Some(3100)));
    assert_eq!(
        rig.visit(&mut browser, "/ngrok/logout").await.status,
        Some(200)
    );
}

#[tokio::test]
async fn signing_out_goes_to_the_provider_and_comes_back_to_a_page() {
    let provider = Scripted {
        signs_out: true,
        ..Scripted::default()
    };
    let rig = Rig::with("auth_id: a", provider);
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    let seen = rig.visit(&mut browser, "/adit/logout?auth_id=a").await;
    let expected =
        "https://id.example/end?hint=id-token&back=https://app.example.com/adit/logout?auth_id=a";
    assert_eq!(seen.location.as_deref(), Some(expected));
    assert!(browser.cookies.is_empty());
    let seen = rig.visit(&mut browser, "/adit/logout?auth_id=a").await;
    assert_eq!(seen.status, Some(200), "there is no way round and round");
}

#[tokio::test]
async fn a36_f_a_large_session_takes_several_cookies_and_a_larger_one_stays_here() {
    for (bulk, cookies) in [(10, 1), (4_000, 2), (7_000, 3), (60_000, 1)] {
        let provider = Scripted {
            bulk,
            ..Scripted::default()
        };
        let rig = Rig::with("", provider);
        let mut browser = Browser::new();
        rig.sign_in(&mut browser, "alice").await;
        let names = browser.named("__Host-adit_session");
        assert_eq!(names.len(), cookies, "{bulk}");
        let parts: Vec<_> = names.into_iter().map(str::to_owned).collect();
        assert!(browser.cookies.values().all(|value| value.len() <= 3_802));
        assert_eq!(rig.visit(&mut browser, "/").await.status, None, "{bulk}");
        for gone in parts {
            let mut other = browser.program();
            other.cookies.remove(&gone);
            assert_eq!(rig.visit(&mut other, "/").await.status, Some(401), "{gone}");
        }
    }
}

#[tokio::test]
async fn cookies_that_are_not_needed_any_more_are_removed() {
    let rig = Rig::with(
        "",
        Scripted {
            bulk: 7_000,
            ..Scripted::default()
        },
    );
    let provider = Arc::<Scripted>::default();
    let small = Rig {
        login: login("", &provider, &rig.env),
        provider,
        ..rig.beside("")
    };
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    assert_eq!(browser.named("__Host-adit_session").len(), 3);
    let sent = small.visit(&mut browser, "/adit/login").await;
    small
        .visit(&mut browser, &Rig::callback(&sent, "alice"))
        .await;
    assert_eq!(
        browser.named("__Host-adit_session"),
        ["__Host-adit_session"]
    );
    assert_eq!(small.visit(&mut browser, "/").await.status, None);
}

#[tokio::test]
async fn a_session_ends_when_nobody_uses_it() {
    let rig = Rig::with(
        "idle_session_timeout: 8h, userinfo_refresh_interval: 100h",
        Scripted::default(),
    );
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    rig.turn(HOUR / 2);
    assert!(
        rig.visit(&mut browser, "/").await.cookies.is_empty(),
        "not from request to request"
    );
    for _ in 0..5 {
        rig.turn(HOUR * 7);
        let seen = rig.visit(&mut browser, "/").await;
        assert_eq!(seen.status, None);
        assert!(
            seen.cookies[0].contains("Max-Age=28800;"),
            "{:?}",
            seen.cookies
        );
    }
    rig.turn(HOUR * 8);
    let seen = rig.visit(&mut browser.program(), "/").await;
    assert_eq!((seen.status, seen.code), (Some(401), Some(3100)));
    assert_eq!(rig.visit(&mut browser, "/").await.status, Some(302));
}

#[tokio::test]
async fn a_session_ends_at_its_end_however_it_is_used() {
    let rig = Rig::with(
        "max_session_duration: 20h, userinfo_refresh_interval: 100h",
        Scripted::default(),
    );
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    rig.turn(HOUR * 19);
    let seen = rig.visit(&mut browser, "/").await;
    assert!(
        seen.cookies[0].contains("Max-Age=3600;"),
        "{:?}",
        seen.cookies
    );
    rig.turn(HOUR);
    assert_eq!(
        rig.visit(&mut browser.program(), "/").await.code,
        Some(3100)
    );
}

#[tokio::test]
async fn hosts_of_a_domain_share_their_sessions_if_the_policy_says_so() {
    let rig = Rig::with("auth_cookie_domain: example.com", Scripted::default());
    let mut browser = Browser::new();
    let seen = rig.sign_in(&mut browser, "alice").await;
    assert!(
        seen.cookies
            .iter()
            .any(|line| line.starts_with("__Secure-adit_session=")
                && line.ends_with("Domain=example.com"))
    );
    browser.host = "other.example.com";
    browser.endpoint = "ep_2";
    assert_eq!(rig.visit(&mut browser, "/").await.status, None);
    let lines = browser.header();
    for host in ["example.org", "evilexample.com"] {
        let mut exchange = crate::testing::get("/", &lines);
        exchange.request_mut().unwrap().authority = host;
        let fault = rig.login.on_http_request(&mut exchange).unwrap_err();
        assert_eq!(fault.code(), 3313, "{host}");
    }
}

#[tokio::test]
async fn a20_a_websocket_needs_a_session_and_its_own_origin() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    let socket = |origin: &'static str| Browser {
        lines: vec![("upgrade", "websocket"), ("origin", origin)],
        ..browser.clone()
    };
    let seen = rig.visit(&mut socket("https://evil.example"), "/").await;
    assert_eq!((seen.status, seen.code), (Some(403), Some(3213)));
    assert_eq!(
        rig.visit(&mut socket("https://app.example.com"), "/")
            .await
            .status,
        None
    );
    let mut nobody = Browser {
        cookies: BTreeMap::new(),
        ..socket("https://app.example.com")
    };
    assert_eq!(rig.visit(&mut nobody, "/").await.status, Some(401));
}

#[tokio::test]
async fn a37_c_an_address_that_is_not_verified_is_nobodys() {
    let rig = Rig::new();
    let person = |email: &str, email_verified| Person {
        email: email.to_owned(),
        email_verified,
        ..Person::default()
    };
    let of = |login: &Login, person: &Person| login.email(person);
    for (email, verified, oidc, oauth) in [
        ("a@corp.com", Some(true), "a@corp.com", "a@corp.com"),
        ("a@corp.com", Some(false), "", ""),
        ("a@corp.com", None, "a@corp.com", ""),
        ("a@corp.com@evil.com", Some(true), "", ""),
    ] {
        let person = person(email, verified);
        assert_eq!(of(&rig.login, &person).0, oidc);
        let settings = Settings::clone(&rig.login.settings);
        let provider = Arc::<Scripted>::clone(&rig.provider);
        let login = Login::oauth(settings, provider, &rig.env);
        assert_eq!(of(&login, &person).0, oauth);
    }
}

struct Whole(Bytes);

#[async_trait]
impl BodySource for Whole {
    async fn read(&mut self, _: usize) -> Result<Bytes, BodyFault> {
        Ok(self.0.clone())
    }
}

async fn tell(rig: &Rig, form: &str) -> u16 {
    let lines = crate::testing::lines(&[("content-type", "application/x-www-form-urlencoded")]);
    let mut body = Whole(Bytes::copy_from_slice(form.as_bytes()));
    let mut exchange = crate::testing::get("/adit/backchannel-logout", &lines);
    exchange.env = &rig.env;
    let request = exchange.request_mut().unwrap();
    request.method = &Method::POST;
    request.has_body = true;
    request.body = Some(&mut body);
    let Flow::Deny(reply) = rig
        .login
        .wait(Phase::OnHttpRequest, &mut exchange)
        .await
        .unwrap()
    else {
        panic!("an answer");
    };
    assert_eq!(reply.headers()["cache-control"], "no-store");
    reply.status().as_u16()
}

#[tokio::test]
async fn a36_e_the_provider_ends_sessions() {
    let rig = Rig::new();
    let (mut alice, mut bob) = (Browser::new(), Browser::new());
    rig.sign_in(&mut alice, "alice").await;
    rig.sign_in(&mut bob, "bob").await;
    assert_eq!(tell(&rig, "logout_token=sid-alice.1").await, 200);
    assert_eq!(rig.visit(&mut alice.program(), "/").await.status, Some(401));
    assert_eq!(rig.visit(&mut bob.program(), "/").await.status, None);
    assert_eq!(
        tell(&rig, "logout_token=bob.1").await,
        400,
        "a token is good once"
    );
    assert_eq!(tell(&rig, "logout_token=bob.2").await, 200);
    assert_eq!(rig.visit(&mut bob.program(), "/").await.status, Some(401));
    for bad in [
        "",
        "logout_token=x",
        "logout_token=bob.3&logout_token=bob.4",
    ] {
        assert_eq!(tell(&rig, bad).await, 400, "{bad}");
    }
    rig.turn(HOUR);
    rig.sign_in(&mut bob, "bob").await;
    assert_eq!(
        rig.visit(&mut bob.program(), "/").await.status,
        None,
        "he may sign in again"
    );
}
