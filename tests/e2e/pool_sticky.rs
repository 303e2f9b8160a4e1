//! A cookie keeps a browser at the member that served it first.

use std::time::Duration;

use crate::{
    harness::{Agent, Gateway, Service, cookie_jar::CookieJar, raw, soon},
    pool_balance::*,
};

/// Who answers a browser with these cookies.
async fn browse(gateway: &Gateway, https: bool, jar: &mut CookieJar) -> String {
    let cookies = jar.header(HOST, "/", https);
    let cookies = cookies.map(|line| format!("Cookie: {line}\r\n"));
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\n{}\r\n",
        cookies.unwrap_or_default()
    );
    let answer = match https {
        true => raw::send_tls(gateway, HOST, request).await,
        false => raw::send(gateway.http(), request).await,
    };
    assert_eq!(answer.status, 200, "{}", answer.head);
    let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    let set = lines.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    set.for_each(|(_, line)| jar.set(HOST, "/", https, line));
    first_word(&answer.text())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_stays_at_its_member_over_https_and_http_and_a_restart() {
    let pool = "{ sticky: { max_age: 1h } }";
    let endpoints =
        format!("endpoints: [{{ url: {HTTP}, pool: {pool} }}, {{ url: {HTTPS}, pool: {pool} }}]\n");
    let gateway = Gateway::with(&endpoints).await;
    let mut fleet = Fleet::start(&gateway, &[HTTP, HTTPS], [1, 1, 1]).await;
    let mut browsers = Vec::new();
    for number in 0..12 {
        let (https, mut jar) = (number % 2 == 0, CookieJar::default());
        let name = browse(&gateway, https, &mut jar).await;
        let cookie = jar.iter().next().expect("a cookie").clone();
        assert!(cookie.http_only && cookie.path == "/" && !cookie.of_session);
        assert_eq!(
            (cookie.secure, cookie.name.starts_with("__Host-adit_")),
            (https, https)
        );
        for _ in 0..4 {
            assert_eq!(browse(&gateway, https, &mut jar).await, name);
        }
        assert_eq!(jar.iter().collect::<Vec<_>>(), [&cookie], "set once");
        browsers.push((https, jar, name));
    }
    assert!(
        NAMES
            .iter()
            .all(|name| browsers.iter().any(|(_, _, one)| one == name))
    );

    let gateway = gateway.restart(Duration::from_secs(1)).await;
    for url in [false, true] {
        soon("all agents", async {
            loop {
                let mut seen = Vec::new();
                for _ in 0..12 {
                    let jar = &mut CookieJar::default();
                    let request = browse_if_there(&gateway, url, jar).await;
                    seen.extend(request);
                }
                if NAMES.iter().all(|name| seen.iter().any(|one| one == name)) {
                    return;
                }
            }
        })
        .await;
    }
    for (https, jar, name) in &mut browsers {
        assert_eq!(
            browse(&gateway, *https, jar).await,
            *name,
            "after a restart"
        );
    }

    fleet.agents.remove(0).close().await;
    for (https, jar, name) in &mut browsers {
        let now = soon("another member", async {
            loop {
                let now = browse(&gateway, *https, jar).await;
                if now != "one" {
                    return now;
                }
            }
        })
        .await;
        assert!(
            name == "one" || *name == now,
            "only those of the lost one move"
        );
        assert_eq!(browse(&gateway, *https, jar).await, now);
        // What was tampered with is nobody's.
        jar.edit()[0].value = "AAAA".into();
        browse(&gateway, *https, jar).await;
        assert_eq!(jar.iter().next().unwrap().value.len(), 22);
    }
}

/// The same where perhaps nobody serves yet.
async fn browse_if_there(gateway: &Gateway, https: bool, jar: &mut CookieJar) -> Option<String> {
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let answer = match https {
        true => raw::send_tls(gateway, HOST, request).await,
        false => raw::send(gateway.http(), request).await,
    };
    assert_eq!(jar.iter().count(), 0);
    (answer.status == 200).then(|| first_word(&answer.text()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_never_sees_the_cookie_that_names_its_member() {
    let gateway = gateway("{ sticky: {} }").await;
    let service = Service::echo().await;
    let _agent = Agent::forward(&gateway, HTTP, service.addr()).await;
    let get = |cookies: &str| format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{cookies}\r\n");
    let answer = raw::send(gateway.http(), get("")).await;
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    assert!(
        !cookie.contains("tester") && !cookie.contains("Max-Age"),
        "{cookie}"
    );
    let (pair, _) = cookie.split_once(';').unwrap();
    let answer = raw::send(
        gateway.http(),
        get(&format!("Cookie: a=1; {pair}; b=2\r\n")),
    )
    .await;
    assert_eq!((answer.status, answer.header("set-cookie")), (200, None));
    let seen = service.requests();
    assert_eq!(seen[1].header("cookie"), Some("a=1; b=2"));
}
