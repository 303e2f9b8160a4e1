//! An issuer of tokens that publishes its keys over HTTP: it rotates them, goes away, and counts who asks.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

/// A running issuer of ES256 tokens. It describes itself at `/.well-known/openid-configuration`; its keys are at `/keys`.
pub(crate) struct Issuer {
    addr: SocketAddr,
    state: Arc<State>,
    task: JoinSet<()>,
}

/// A key, and its name.
pub(crate) struct SigningKey {
    id: String,
    pair: EcdsaKeyPair,
}

struct State {
    published: Mutex<Vec<Arc<SigningKey>>>,
    asked: Mutex<Vec<String>>,
}

impl Issuer {
    /// One with the key `first`.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State {
            published: Mutex::new(vec![Arc::new(SigningKey::new("first"))]),
            asked: Mutex::default(),
        });
        let mut task = JoinSet::new();
        task.spawn(serve(listener, addr, Arc::clone(&state)));
        Self { addr, state, task }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its name in tokens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The key that it signs with: the last one that it publishes.
    pub(crate) fn key(&self) -> Arc<SigningKey> {
        Arc::clone(self.state.published.lock().unwrap().last().unwrap())
    }

    /// Publishes one more key, and signs with it at once.
    pub(crate) fn rotate(&self, id: &str) {
        let mut published = self.state.published.lock().unwrap();
        published.push(Arc::new(SigningKey::new(id)));
    }

    /// The paths that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    /// Goes away: nobody listens there any more.
    pub(crate) async fn go_away(&mut self) {
        self.task.shutdown().await;
    }

    /// A token for `api` that is good for an hour.
    pub(crate) fn token(&self, key: &SigningKey, subject: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let claims = json!({
            "iss": self.url(), "aud": "api", "sub": subject, "exp": now.as_secs() + 3_600,
        });
        key.sign(&claims)
    }
}

impl SigningKey {
    pub(crate) fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(how, document.as_ref(), &random).unwrap();
        let id = id.to_owned();
        Self { id, pair }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": self.id, "typ": "JWT"});
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.unwrap()))
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let part = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": part(x), "y": part(y)})
    }
}

async fn serve(listener: TcpListener, addr: SocketAddr, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((io, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let answer = service_fn(move |request: Request<Incoming>| {
            let answer = answer(request.uri().path(), addr, &state);
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        let serving = http1::Builder::new().serve_connection(TokioIo::new(io), answer);
        connections.spawn(async move { drop(serving.await) });
    }
}

fn answer(path: &str, addr: SocketAddr, state: &State) -> Response<Full<Bytes>> {
    state.asked.lock().unwrap().push(path.to_owned());
    let json = match path {
        "/keys" => {
            let published = state.published.lock().unwrap();
            let keys: Vec<_> = published.iter().map(|key| key.jwk()).collect();
            json!({ "keys": keys })
        }
        _ => json!({"issuer": format!("http://{addr}"), "jwks_uri": format!("http://{addr}/keys")}),
    };
    Response::builder()
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(json.to_string())))
        .unwrap()
}
