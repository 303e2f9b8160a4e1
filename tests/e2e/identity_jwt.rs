//! `jwt-validation` against an issuer that is really there: keys over HTTP, rotation and outage while requests flow, and a
//! storm of unknown keys.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::harness::{
    Agent, Gateway, Service,
    issuer::{Issuer, SigningKey},
    raw::{self, RawAnswer},
    soon,
};

/// `api.localhost` behind tokens of an issuer, whose keys are where the lines say, or where it says itself.
fn guarded(issuer: &Issuer, keys: &str) -> String {
    format!(
        "fetch: {{ allow: ['{}'], allow_private: true }}
endpoints:
  - url: http://api.localhost
    traffic_policy:
      on_http_request:
        - actions:
            - type: jwt-validation
              config:
                issuer: {{ allow_list: [{{ value: '{}' }}] }}
                audience: {{ allow_list: [{{ value: api }}] }}
                http: {{ tokens: [{{ type: jwt, method: header, name: authorization, prefix: 'Bearer ' }}] }}
                jws: {{ allowed_algorithms: [ES256]{keys} }}
            - type: add-headers
              config: {{ headers: {{ x-caller: '${{actions.ngrok.jwt_validation.tokens[0].payload.sub}}' }} }}
",
        issuer.addr(),
        issuer.url()
    )
}

fn at_url(issuer: &Issuer) -> String {
    format!(
        ", keys: {{ sources: {{ additional_jkus: ['{}/keys'] }} }}",
        issuer.url()
    )
}

struct Stage {
    issuer: Issuer,
    gateway: Gateway,
    service: Service,
    _agent: Agent,
}

impl Stage {
    async fn new() -> Self {
        let issuer = Issuer::start().await;
        let keys = at_url(&issuer);
        Self::with(issuer, &keys).await
    }

    async fn with(issuer: Issuer, keys: &str) -> Self {
        let service = Service::echo().await;
        let gateway = Gateway::with(&guarded(&issuer, keys)).await;
        let _agent = Agent::forward(&gateway, "http://api.localhost", service.addr()).await;
        Self {
            issuer,
            gateway,
            service,
            _agent,
        }
    }

    async fn ask(&self, token: &str) -> RawAnswer {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: api.localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        raw::send(self.gateway.http(), request).await
    }

    /// A request with a token of the key that the issuer signs with now.
    async fn ask_as(&self, subject: &str) -> RawAnswer {
        let token = self.issuer.token(&self.issuer.key(), subject);
        self.ask(&token).await
    }

    fn keys_asked(&self) -> usize {
        let asked = self.issuer.asked();
        asked.iter().filter(|path| *path == "/keys").count()
    }

    /// Sends requests of four clients until `until` is over; all must get in. How many there were.
    async fn while_requests_flow(self: &Arc<Self>, until: impl Future<Output = ()>) -> usize {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut clients = JoinSet::new();
        for client in 0..4 {
            let (stage, stopped) = (Arc::clone(self), stopped.clone());
            clients.spawn(async move {
                let mut sent = 0;
                while !*stopped.borrow() || sent == 0 {
                    let answer = stage.ask_as(&format!("client {client}")).await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    sent += 1;
                }
                sent
            });
        }
        until.await;
        stop.send_replace(true);
        soon("all clients", clients.join_all())
            .await
            .into_iter()
            .sum()
    }

    /// Waits until the service has seen so many requests more.
    async fn more(&self, requests: usize) {
        let now = self.service.counts().requests;
        self.service.wait_for_requests(now + requests).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_token_of_the_issuer_gets_in_and_nobody_else() {
    let stage = Stage::new().await;
    assert_eq!(stage.ask_as("ada").await.status, 200);
    let request = stage.service.only_request();
    assert_eq!(request.header("x-caller"), Some("ada"));
    let forged = stage.issuer.token(&SigningKey::new("first"), "root");
    let answer = stage.ask(&forged).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("adit-error-code"), Some("ERR_ADIT_3401"));
    assert_eq!(
        answer.header("www-authenticate"),
        Some(
            "Bearer error=\"invalid_token\", error_description=\"the token's signature is wrong\""
        )
    );
    assert_eq!(stage.service.counts().requests, 1);
    assert_eq!(stage.keys_asked(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_issuer_says_where_its_keys_are() {
    let stage = Stage::with(Issuer::start().await, "").await;
    for _ in 0..3 {
        assert_eq!(stage.ask_as("ada").await.status, 200);
    }
    assert_eq!(
        stage.issuer.asked(),
        ["/.well-known/openid-configuration", "/keys"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_while_requests_flow_and_none_fails() {
    let stage = Arc::new(Stage::new().await);
    let rotated = async {
        stage.more(20).await;
        stage.issuer.rotate("second");
        stage.more(40).await;
    };
    let sent = stage.while_requests_flow(rotated).await;
    assert!(sent >= 60, "{sent}");
    // Once at the beginning, once for the new key; a second time if a request for it was under way when it came.
    let asked = stage.keys_asked();
    assert!((2..=3).contains(&asked), "{asked}");
    let old = stage.issuer.token(&SigningKey::new("third"), "ada");
    assert_eq!(stage.ask(&old).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a41_c_the_issuer_goes_away_while_requests_flow_and_none_fails() {
    let mut stage = Stage::new().await;
    assert_eq!(stage.ask_as("ada").await.status, 200);
    stage.issuer.go_away().await;
    // Somebody asks for keys that nobody can fetch.
    let unknown = stage.issuer.token(&SigningKey::new("unknown"), "eve");
    let stage = Arc::new(stage);
    let outage = async {
        for _ in 0..20 {
            assert_eq!(stage.ask(&unknown).await.status, 401);
        }
    };
    let sent = stage.while_requests_flow(outage).await;
    assert!(sent >= 4, "{sent}");
    assert_eq!(stage.keys_asked(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a41_c_an_issuer_that_was_never_there_lets_nobody_in() {
    let mut issuer = Issuer::start().await;
    issuer.go_away().await;
    let keys = at_url(&issuer);
    let stage = Stage::with(issuer, &keys).await;
    for _ in 0..3 {
        let answer = stage.ask_as("ada").await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(answer.header("adit-error-code"), Some("ERR_ADIT_3422"));
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    assert_eq!(stage.service.counts().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a31_l_a_storm_of_unknown_keys_reaches_the_issuer_once() {
    let stage = Arc::new(Stage::new().await);
    assert_eq!(stage.ask_as("ada").await.status, 200);
    let mut storm = JoinSet::new();
    for number in 0..200 {
        let stage = Arc::clone(&stage);
        storm.spawn(async move {
            let key = SigningKey::new(&number.to_string());
            stage.ask(&stage.issuer.token(&key, "eve")).await.status
        });
    }
    let statuses = soon("the storm", storm.join_all()).await;
    assert!(statuses.iter().all(|status| *status == 401), "{statuses:?}");
    assert_eq!(stage.ask_as("ada").await.status, 200);
    assert_eq!(
        stage.keys_asked(),
        2,
        "at the beginning, and once for all of them"
    );
    assert_eq!(stage.service.counts().requests, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a32_a_the_operator_decides_whether_this_machine_is_asked() {
    let issuer = Issuer::start().await;
    let extra =
        guarded(&issuer, &at_url(&issuer)).replace("allow_private: true", "allow_private: false");
    let service = Service::echo().await;
    let gateway = Gateway::with(&extra).await;
    let _agent = Agent::forward(&gateway, "http://api.localhost", service.addr()).await;
    let stage = Stage {
        issuer,
        gateway,
        service,
        _agent,
    };
    assert_eq!(stage.ask_as("ada").await.status, 503);
    assert!(stage.issuer.asked().is_empty());
    assert_eq!(stage.service.counts().connections, 0);
}
