//! Attacks on what lets people in (A39 to A41): whatever pretends to be harmless, and whatever breaks, nothing reaches the
//! service.

use std::net::SocketAddr;

use crate::{
    harness::{
        Agent, Gateway, RawService, Service,
        issuer::Issuer,
        raw::{Client, RawAnswer},
        soon,
    },
    policy_passwords::basic,
};

const HOST: &str = "app.localhost";

/// The actions that let in who is known, each with its config. The issuer is where `ISSUER` stands.
const GUARDS: [(&str, &str); 3] = [
    ("basic-auth", "{ credentials: ['alice:correct horse'] }"),
    (
        "jwt-validation",
        "{ issuer: { allow_list: [{ value: 'ISSUER' }] }, audience: { allow_list: [{ value: api }] }, \
           http: { tokens: [{ type: jwt, method: header, name: authorization, prefix: 'Bearer ' }] }, \
           jws: { allowed_algorithms: [ES256], keys: { sources: { additional_jkus: ['ISSUER/keys'] } } } }",
    ),
    (
        "openid-connect",
        "{ issuer_url: 'ISSUER', client_id: edge, client_secret: not-known, allow_cors_preflight: true }",
    ),
];

/// An app behind a policy, on https, for sign-in needs that.
struct App {
    issuer: Issuer,
    service: Service,
    gateway: Gateway,
    _agent: Agent,
}

impl App {
    /// Behind one of [`GUARDS`].
    async fn behind((kind, config): (&str, &str)) -> Self {
        let policy =
            format!("on_http_request: [{{ actions: [{{ type: {kind}, config: {config} }}] }}]\n");
        Self::with(Issuer::start().await, &policy).await
    }

    async fn with(issuer: Issuer, policy: &str) -> Self {
        let allowed = issuer.addr();
        Self::asking(allowed, issuer, policy).await
    }

    /// Behind a policy that may ask this server.
    async fn asking(allowed: SocketAddr, issuer: Issuer, policy: &str) -> Self {
        let service = Service::echo().await;
        let policy = policy.replace("ISSUER", &issuer.url());
        let extra = format!(
            "fetch: {{ allow: ['{allowed}'], allow_private: true }}\nendpoints: [{{ url: https://{HOST}, traffic_policy_file: app.yaml }}]\n"
        );
        let gateway = Gateway::with_files(&[("app.yaml", &policy)], &extra).await;
        let url = format!("https://{HOST}");
        let agent = Agent::forward(&gateway, &url, service.addr()).await;
        Self {
            issuer,
            service,
            gateway,
            _agent: agent,
        }
    }

    async fn client(&self) -> Client {
        Client::connect_tls(&self.gateway, HOST, &[]).await
    }

    /// The answer to a request of these words and lines, on a connection of its own.
    async fn ask(&self, method: &str, target: &str, lines: &str) -> RawAnswer {
        let mut client = self.client().await;
        let request = format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n");
        client.send(request).await;
        client.answer_to(method).await
    }

    /// That a request is refused, and that nobody else hears of it.
    async fn refuses(&self, method: &str, target: &str, lines: &str) -> RawAnswer {
        let answer = self.ask(method, target, lines).await;
        let status = answer.status;
        let what = format!("{method} {target} {lines}: {}", answer.text());
        // 302 is the way to a provider.
        assert!(
            matches!(status, 302 | 400..=499 | 503),
            "{status} to {what}"
        );
        assert_eq!(self.service.counts().connections, 0, "{what}");
        answer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a39_a_the_name_of_a_health_checker_opens_nothing() {
    for guard in GUARDS {
        let app = App::behind(guard).await;
        for agent in [
            "kube-probe/1.30",
            "GoogleHC/1.0",
            "ELB-HealthChecker/2.0",
            "Consul Health Check",
        ] {
            let lines = format!("User-Agent: {agent}\r\n");
            app.refuses("GET", "/", &lines).await;
            app.refuses("HEAD", "/healthz", &lines).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a39_b_a_path_that_looks_like_a_health_check_opens_nothing() {
    for guard in GUARDS {
        let app = App::behind(guard).await;
        for path in [
            "/healthz",
            "/health",
            "/livez",
            "/readyz",
            "/ping",
            "/status",
            "/metrics",
            "/.well-known/health",
            "/robots.txt",
            "/adit/health",
        ] {
            app.refuses("GET", path, "").await;
            app.refuses("GET", &format!("/admin?x={path}"), "").await;
            app.refuses("GET", &format!("/admin{path}"), "").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a40_a_a_preflight_opens_nothing_for_what_follows_it() {
    let preflight = "Origin: https://other.example\r\nAccess-Control-Request-Method: DELETE\r\n";
    for guard in GUARDS {
        let app = App::behind(guard).await;
        let mut client = app.client().await;
        let ask = |method: &str, lines: &str| {
            format!("{method} /orders HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n")
        };
        client.send(ask("OPTIONS", preflight)).await;
        let answer = client.answer().await;
        // Where the policy lets preflights pass, this one does, and nothing else.
        let passed = usize::from(guard.0 == "openid-connect");
        assert_eq!(
            answer.status == 200,
            passed == 1,
            "{}: {}",
            guard.0,
            answer.text()
        );
        assert_eq!(app.service.requests().len(), passed);
        for method in ["DELETE", "GET", "POST", "PUT"] {
            let mut client = app.client().await;
            client.send(ask(method, preflight)).await;
            let status = client.answer().await.status;
            assert!(matches!(status, 302 | 401 | 503), "{method}: {status}");
            // The same connection is no better.
            let mut client = app.client().await;
            client.send(ask("OPTIONS", preflight)).await;
            client.answer().await;
            client.send(ask(method, "")).await;
            let status = client.answer().await.status;
            assert!(matches!(status, 302 | 401 | 503), "{method}: {status}");
        }
        let seen = app.service.requests();
        assert!(
            seen.iter().all(|request| request.method == "OPTIONS"),
            "{seen:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a40_b_what_says_that_the_method_is_another_one_is_not_believed() {
    for guard in GUARDS {
        let app = App::behind(guard).await;
        for name in [
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X-Method-Override",
        ] {
            for (method, meant) in [("GET", "OPTIONS"), ("POST", "OPTIONS"), ("POST", "HEAD")] {
                let lines = format!(
                    "{name}: {meant}\r\nOrigin: https://other.example\r\nAccess-Control-Request-Method: GET\r\nContent-Length: 0\r\n"
                );
                app.refuses(method, "/", &lines).await;
            }
        }
        app.refuses("GET", "/?_method=OPTIONS", "").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a40_c_head_is_refused_where_get_is() {
    for guard in GUARDS {
        let app = App::behind(guard).await;
        let get = app.refuses("GET", "/", "").await;
        let head = app.refuses("HEAD", "/", "").await;
        assert_eq!(head.status, get.status, "{}", guard.0);
        assert_eq!(head.text().split("\r\n\r\n").nth(1).unwrap_or_default(), "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a40_d_a_method_that_nobody_knows_obeys_the_policy() {
    for guard in GUARDS {
        let app = App::behind(guard).await;
        for method in ["FOO", "PROPFIND", "QUERY", "get"] {
            app.refuses(method, "/", "").await;
        }
    }
    let app = App::behind(GUARDS[0]).await;
    let lines = format!("Authorization: {}\r\n", basic("alice:correct horse"));
    assert_eq!(app.ask("FOO", "/", &lines).await.status, 200);
    assert_eq!(app.service.only_request().method, "FOO");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a40_e_an_options_that_is_no_preflight_does_not_pass() {
    for guard in GUARDS {
        let app = App::behind(guard).await;
        for lines in [
            "",
            "Origin: https://other.example\r\n",
            "Access-Control-Request-Method: GET\r\n",
            "Origin: \r\nAccess-Control-Request-Method: GET\r\n",
            "Origin: https://other.example\r\nAccess-Control-Request-Method: \r\n",
            "Origin: https://other.example\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Method: GET\r\n",
        ] {
            app.refuses("OPTIONS", "/", lines).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a41_a_an_expression_that_fails_lets_nobody_in() {
    let authorization = format!("Authorization: {}\r\n", basic("alice:correct horse"));
    for policy in [
        // A rule whose condition fails is not skipped.
        "on_http_request: [{ expressions: [\"req.headers['x-none'][0] != 'a'\"], actions: [{ type: deny }] }]\n",
        "on_http_request: [{ expressions: [\"req.headers['x-none'][0] == 'a'\"], actions: [{ type: basic-auth, config: { credentials: ['alice:correct horse'] } }] }]\n",
        // Neither is a credential that cannot be made, though another one is right.
        "on_http_request: [{ actions: [{ type: basic-auth, config: { credentials: ['alice:correct horse', \"bob:${req.headers['x-none'][0]}\"] } }] }]\n",
        "on_http_request: [{ actions: [{ type: basic-auth, config: { credentials: ['alice:correct horse', \"bob:${secrets.get('none', 'none')}\"] } }] }]\n",
    ] {
        let app = App::with(Issuer::start().await, policy).await;
        let answer = app.ask("GET", "/", &authorization).await;
        assert_eq!(answer.status, 500, "{policy}: {}", answer.text());
        assert!(answer.header("adit-error-code").is_some());
        assert_eq!(app.service.counts().connections, 0, "{policy}");
    }
}

/// Asks another server who may come in, and lets in whom it answers 200.
fn asking(authority: &str) -> String {
    format!(
        "on_http_request:\n  - actions:\n      - type: http-request\n        config: {{ url: '{authority}', timeout: 1s, on_error: halt }}\n  \
         - expressions: ['actions.ngrok.http_request.res.status_code != 200']\n    actions: [{{ type: deny }}]\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a41_b_an_action_that_takes_too_long_lets_nobody_in() {
    // It takes connections, reads requests, and is silent.
    let silent = RawService::start(|mut conn| async move {
        conn.head().await;
        conn.closed().await;
    })
    .await;
    let url = format!("http://{}", silent.addr());
    let app = App::asking(silent.addr(), Issuer::start().await, &asking(&url)).await;
    let answer = app.ask("GET", "/", "").await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(app.service.counts().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a41_c_a_provider_that_is_down_lets_nobody_in() {
    for (kind, config) in &GUARDS[1..] {
        let mut issuer = Issuer::start().await;
        issuer.go_away().await;
        let policy =
            format!("on_http_request: [{{ actions: [{{ type: {kind}, config: {config} }}] }}]\n");
        let app = App::with(issuer, &policy).await;
        let key = app.issuer.key();
        let token = app.issuer.token(&key, "ada");
        let known = format!("Authorization: Bearer {token}\r\n");
        for lines in ["Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n", &known] {
            let answer = app.refuses("GET", "/", lines).await;
            assert_ne!(
                answer.status, 302,
                "{kind}: nobody is sent to who is not there"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a41_e_an_authority_that_answers_500_or_nothing_lets_nobody_in() {
    for (answer, status) in [
        ("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", 403),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", 502),
        ("nonsense\r\n\r\n", 502),
        ("", 502),
    ] {
        // It closes each connection behind its answer.
        let authority = RawService::start(move |mut conn| async move {
            conn.request().await;
            conn.write(answer).await;
        })
        .await;
        let url = format!("http://{}", authority.addr());
        let app = App::asking(authority.addr(), Issuer::start().await, &asking(&url)).await;
        let refused = soon("an answer", app.ask("GET", "/", "")).await;
        assert_eq!(refused.status, status, "{answer:?}: {}", refused.text());
        assert_eq!(app.service.counts().connections, 0, "{answer:?}");

        // The same where keys and what a provider says of itself come from.
        for (kind, config) in &GUARDS[1..] {
            let config = config.replace("ISSUER", &url);
            let policy = format!(
                "on_http_request: [{{ actions: [{{ type: {kind}, config: {config} }}] }}]\n"
            );
            let app = App::asking(authority.addr(), Issuer::start().await, &policy).await;
            let token = app.issuer.token(&app.issuer.key(), "ada");
            let known = format!("Authorization: Bearer {token}\r\n");
            for lines in ["Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n", &known] {
                let refused = app.refuses("GET", "/", lines).await;
                assert_ne!(refused.status, 302, "{kind}: {answer:?}");
            }
        }
    }
}
