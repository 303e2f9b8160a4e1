//! What runs is ended when its permission ends: A42, and the second half of A25.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    client::conn::http2::SendRequest,
};
use serde_json::json;
use tokio::{net::TcpStream, sync::mpsc};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};

use adit_agent::{End, Event};
use adit_wire::message::RefusalCode;

use crate::{
    harness::{
        Agent, Browser, CLIENT_SECRET, Gateway, OidcProvider, Service,
        browser::{Ask, with_parameter},
        event, h2, raw, soon, tls,
    },
    websocket::Echo,
};

/// Two endpoints that have their policies from files.
const FROM_FILES: &str = "
endpoints:
  - { url: https://app.localhost, traffic_policy_file: app.yaml }
  - { url: https://ws.app.localhost, traffic_policy_file: app.yaml }
  - { url: https://other.localhost, traffic_policy_file: other.yaml }
  - { url: https://ws.other.localhost, traffic_policy_file: other.yaml }
";

const DENY: &str = "on_http_request: [{ actions: [{ type: deny }] }]\n";

/// A policy that writes its version onto each response.
fn version(version: u8) -> String {
    format!(
        "on_http_response: [{{ actions: [{{ type: add-headers, config: {{ headers: {{ x-version: \"{version}\" }} }} }}] }}]\n"
    )
}

/// A client's end of every kind of exchange that has no end of its own.
struct Streams {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    events: raw::Client,
    /// Each on an HTTP/2 connection that others use, too.
    events_h2: Response<Incoming>,
    grpc: Response<Incoming>,
    http2: SendRequest<h2::Body>,
}

impl Streams {
    /// Opens them at `HOST.localhost` and `ws.HOST.localhost`.
    async fn open(gateway: &Gateway, host: &str) -> Self {
        let socket = web_socket(gateway, &format!("ws.{host}.localhost"), "").await;
        Self::beside(socket.unwrap(), gateway, host, "").await
    }

    /// Opens all but the socket.
    async fn beside(
        socket: WebSocketStream<TlsStream<TcpStream>>,
        gateway: &Gateway,
        host: &str,
        cookie: &str,
    ) -> Self {
        let (host, port) = (format!("{host}.localhost"), gateway.https().port());
        let mut events = raw::Client::connect_tls(gateway, &host, &["http/1.1"]).await;
        events
            .send(format!(
                "GET /events HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n"
            ))
            .await;
        let head = events.head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let mut http2 = h2::connect_tls(gateway, &host).await;
        let url = gateway.url(&format!("https://{host}/events"));
        let request = Request::get(&url).header("cookie", cookie);
        let request = request.body(Empty::new().boxed()).unwrap();
        let events_h2 = soon("a head", http2.send_request(request)).await.unwrap();
        let grpc = call(&mut http2, &url, cookie).await;
        Self {
            socket,
            events,
            events_h2,
            grpc,
            http2,
        }
    }

    /// They carry what is sent.
    async fn go_on(&mut self, service: &Service) {
        service.send_event("still here");
        self.events.until("data: still here\n\n").await;
        for response in [&mut self.events_h2, &mut self.grpc] {
            let frame = soon("an event", response.frame()).await.unwrap().unwrap();
            assert_eq!(&*frame.into_data().unwrap(), b"data: still here\n\n");
        }
        let message = Message::text("ping");
        self.socket.send(message.clone()).await.unwrap();
        let back = soon("the echo", self.socket.next()).await.unwrap().unwrap();
        assert_eq!(back, message);
    }

    /// All of them end. An agent that goes takes its streams along, so that there may be nobody left to say why.
    async fn break_off(self) {
        let Self {
            mut socket,
            mut events,
            mut events_h2,
            grpc,
            mut http2,
        } = self;
        soon("the socket's end", async {
            while let Some(Ok(message)) = socket.next().await {
                assert!(message.is_close(), "{message:?}");
            }
        })
        .await;
        assert_eq!(events.rest().await, b"");
        let frame = soon("the stream's end", events_h2.frame()).await.unwrap();
        assert!(frame.is_err(), "{frame:?}");
        if let Ok(whole) = soon("the call's end", grpc.into_body().collect()).await {
            assert_eq!(whole.trailers().unwrap()["grpc-status"], "14");
        }
        soon("the connection", http2.ready()).await.unwrap();
    }

    /// All of them end, in their own way, with this reason; and their HTTP/2 connection goes on.
    async fn are_ended(self, reason: &str, grpc_status: &str) {
        let Self {
            mut socket,
            mut events,
            mut events_h2,
            grpc,
            mut http2,
        } = self;
        let last = soon("a close frame", socket.next()).await.unwrap().unwrap();
        let Message::Close(Some(frame)) = last else {
            panic!("{last:?}");
        };
        assert_eq!((frame.code, &*frame.reason), (CloseCode::Policy, reason));
        // Without the last chunk.
        assert_eq!(events.rest().await, b"");
        let frame = soon("the stream's end", events_h2.frame()).await.unwrap();
        assert!(frame.is_err(), "{frame:?}");
        let trailers = trailers(grpc).await;
        assert_eq!(trailers["grpc-status"], grpc_status, "{trailers:?}");
        soon("the connection", http2.ready()).await.unwrap();
    }
}

async fn web_socket(
    gateway: &Gateway,
    host: &str,
    cookie: &str,
) -> Result<WebSocketStream<TlsStream<TcpStream>>, StatusCode> {
    let io = tls::connect(gateway, host, &["http/1.1"]).await.unwrap();
    let mut request = gateway
        .url(&format!("wss://{host}/chat"))
        .into_client_request()
        .unwrap();
    if !cookie.is_empty() {
        let cookie = cookie.parse().unwrap();
        request.headers_mut().insert("cookie", cookie);
    }
    match soon("a WebSocket handshake", client_async(request, io)).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(answer)) => Err(answer.status()),
        Err(error) => panic!("{error}"),
    }
}

/// A call of gRPC whose client goes on speaking.
async fn call(http2: &mut SendRequest<h2::Body>, url: &str, cookie: &str) -> Response<Incoming> {
    let (speak, said) = mpsc::unbounded_channel::<Bytes>();
    speak.send(Bytes::from_static(&[0; 5])).unwrap();
    // It holds its own sender, so that it does not end.
    let said = futures_util::stream::unfold((said, speak), |(mut said, speak)| async {
        let bytes = said.recv().await?;
        Some((Ok(Frame::data(bytes)), (said, speak)))
    });
    let request = grpc_request(url).header("cookie", cookie);
    let request = request.body(BodyExt::boxed(StreamBody::new(said))).unwrap();
    soon("a head", http2.send_request(request)).await.unwrap()
}

fn grpc_request(url: &str) -> hyper::http::request::Builder {
    Request::post(url)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

async fn status(gateway: &Gateway, host: &str) -> u16 {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    raw::send_tls(gateway, host, request).await.status
}

async fn trailers(response: Response<Incoming>) -> HeaderMap {
    let whole = soon("the call's end", response.into_body().collect()).await;
    whole.unwrap().trailers().unwrap().clone()
}

/// An agent of this name that serves `HOST.localhost` and `ws.HOST.localhost`.
async fn agent(
    gateway: &Gateway,
    name: &str,
    host: &str,
    (service, echo): (&Service, &Echo),
) -> Agent {
    let agent = Agent::builder(gateway)
        .token(gateway.token_of(name))
        .url(&format!("https://{host}.localhost"))
        .upstream(service.addr())
        .url(&format!("https://ws.{host}.localhost"))
        .upstream(echo.addr);
    agent.start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_d_a_changed_rule_ends_the_streams_that_it_let_in_and_nothing_else() {
    let service = Service::echo().await;
    let echo = Echo::start().await;
    let files = [("app.yaml", &*version(1)), ("other.yaml", &version(1))];
    let gateway = Gateway::with_files(&files, FROM_FILES).await;
    let behind = (&service, &echo);
    let _agents = [
        agent(&gateway, "tester", "app", behind).await,
        agent(&gateway, "tester", "other", behind).await,
    ];
    let streams = Streams::open(&gateway, "app").await;
    let mut others = Streams::open(&gateway, "other").await;
    // A download and a short call of gRPC that have begun.
    let mut download = raw::Client::connect_tls(&gateway, "app.localhost", &["http/1.1"]).await;
    download
        .send("GET /slow-body HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
        .await;
    download.until("begun ").await;
    let mut http2 = h2::connect_tls(&gateway, "app.localhost").await;
    let url = gateway.url("https://app.localhost/slow-head");
    let short = grpc_request(&url)
        .body(Full::from(&[0; 5][..]).boxed())
        .unwrap();
    let short = tokio::spawn(http2.send_request(short));
    service.wait_for_requests(8).await;

    gateway.put("app.yaml", DENY);
    gateway.reload().await.unwrap();
    streams.are_ended("policy changed", "14").await;
    service
        .wait_for("the service to see its readers leave", |counts| {
            counts.readers == 3
        })
        .await;
    others.go_on(&service).await;
    service.release();
    download.until("done").await;
    service.release();
    let short = soon("the short call", short).await.unwrap().unwrap();
    assert_eq!(short.status(), 200);
    assert!(short.headers().get("grpc-status").is_none());
    // Whoever comes again is let in, or not, by the new rule.
    let again = call(&mut http2, &url, "").await;
    assert_eq!(again.headers()["grpc-status"], "7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_b_a_removed_token_ends_its_agents_and_their_streams_and_nobody_elses() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let gateway = Gateway::start().await;
    let behind = (&service, &echo);
    let revoked = agent(&gateway, "tester", "app", behind).await;
    let _other = agent(&gateway, "other", "other", behind).await;
    let mut others = Streams::open(&gateway, "other").await;
    // A mistake elsewhere in the file keeps everything as it was.
    gateway.put("gateway.yaml", "agents: []\nlistne: {}\n");
    assert!(gateway.reload().await.is_err());
    others.go_on(&service).await;
    let streams = Streams::open(&gateway, "app").await;

    gateway.rewrite_agents(&[("other", &["bind:*"])]);
    let reloaded = gateway.reload().await;
    // Whoever was first, the file system or we.
    assert!(reloaded.unwrap().waiting.is_empty());
    streams.break_off().await;
    let End::Refused(why) = soon("the agent's end", revoked.agent.done()).await else {
        panic!("it has not been refused");
    };
    assert!(
        why.reason.contains("ERR_ADIT_300") && !why.retryable,
        "{why}"
    );
    assert_eq!(status(&gateway, "app.localhost").await, 404);
    // Nor does it come in again.
    let again = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(1);
    let told = again.try_start().await.err().unwrap();
    assert!(told.contains("ERR_ADIT_107"), "{told}");
    service
        .wait_for("the service to see its readers leave", |counts| {
            counts.readers == 3
        })
        .await;
    others.go_on(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_b_a_narrowed_access_list_ends_what_it_no_longer_allows() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let gateway = Gateway::start().await;
    let behind = (&service, &echo);
    let narrowed = agent(&gateway, "tester", "app", behind).await;
    let kept = agent(&gateway, "tester", "other", behind).await;
    let streams = Streams::open(&gateway, "app").await;
    let mut others = Streams::open(&gateway, "other").await;
    let mut events = narrowed.events();

    gateway.rewrite_agents(&[(
        "tester",
        &["bind:other.localhost", "bind:ws.other.localhost"],
    )]);
    gateway.reload().await.unwrap();
    let taken = event(&mut events, |event| matches!(event, Event::Unbound { .. })).await;
    let Event::Unbound {
        refused: Some(why), ..
    } = taken
    else {
        panic!("{taken:?}");
    };
    assert_eq!(why.code, RefusalCode::Acl, "{why}");
    streams
        .are_ended("agent may not serve this url any more", "14")
        .await;
    assert_eq!(status(&gateway, "app.localhost").await, 404);
    others.go_on(&service).await;
    assert!(kept.agent.is_connected() && narrowed.agent.is_connected());

    // What is allowed again can be had again, without a restart of anything.
    gateway.rewrite_agents(&[("tester", &["bind:*"])]);
    gateway.reload().await.unwrap();
    let _again = agent(&gateway, "tester", "app", behind).await;
    Streams::open(&gateway, "app").await.go_on(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_token_is_let_in_without_a_restart() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let gateway = Gateway::with_agents(&[("tester", &["bind:*"])], "").await;
    gateway.rewrite_agents(&[("tester", &["bind:*"]), ("new", &["bind:*"])]);
    gateway.reload().await.unwrap();
    let _agent = agent(&gateway, "new", "app", (&service, &echo)).await;
    assert_eq!(status(&gateway, "app.localhost").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_c_an_agent_that_goes_takes_its_streams_along() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let gateway = Gateway::start().await;
    let behind = (&service, &echo);
    let gone = agent(&gateway, "tester", "app", behind).await;
    let _other = agent(&gateway, "tester", "other", behind).await;
    let streams = Streams::open(&gateway, "app").await;
    let mut others = Streams::open(&gateway, "other").await;
    gone.close().await;
    streams.break_off().await;
    others.go_on(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_c_an_agents_new_policy_ends_the_streams_that_its_old_one_let_in() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let gateway = Gateway::start().await;
    let behind = (&service, &echo);
    let updating = agent(&gateway, "tester", "app", behind).await;
    let _other = agent(&gateway, "tester", "other", behind).await;
    let streams = Streams::open(&gateway, "app").await;
    let mut others = Streams::open(&gateway, "other").await;
    // Where none was, one comes: who was let in without it may not stay either.
    for forwarder in &updating.forwarders {
        forwarder.update_policy(DENY).await.unwrap();
    }
    streams.are_ended("policy changed", "14").await;
    assert_eq!(status(&gateway, "app.localhost").await, 403);
    others.go_on(&service).await;
}

// === people who have signed in ===

/// One host behind a login at the provider, its path `/chat` led to the service of WebSockets.
async fn behind_a_login(
    provider: &OidcProvider,
    max_session: &str,
    (service, echo): (&Service, &Echo),
) -> (Gateway, Agent) {
    let policy = format!(
        "on_http_request:\n\
         - actions: [{{ type: openid-connect, config: {{ issuer_url: '{}', client_id: edge, client_secret: {CLIENT_SECRET}, \
         allow_cors_preflight: true{max_session} }} }}]\n\
         - expressions: [req.url.path == '/chat']\n  \
           actions: [{{ type: forward-internal, config: {{ url: 'https://chat.internal' }} }}]\n",
        provider.issuer()
    );
    let extra = format!(
        "{}endpoints: [{{ url: https://app.localhost, traffic_policy_file: app.yaml }}]\n",
        provider.allowed()
    );
    let gateway = Gateway::with_files(&[("app.yaml", &policy)], &extra).await;
    provider
        .register(&gateway, "edge", "https://app.localhost")
        .await;
    let agent = Agent::builder(&gateway)
        .url("https://app.localhost")
        .upstream(service.addr())
        .url("https://chat.internal")
        .upstream(echo.addr);
    let agent = agent.start().await;
    (gateway, agent)
}

/// Signs somebody in, and opens everything that runs.
async fn sign_in(gateway: &Gateway, person: &str) -> (Browser, Streams) {
    let mut browser = Browser::new(gateway);
    let page = browser.get("https://app.localhost/").await;
    let to = with_parameter(&page.location().unwrap(), "login_hint", Some(person));
    let page = browser.open(&to).await;
    assert_eq!(
        (page.status, page.url),
        (200, gateway.url("https://app.localhost/"))
    );
    let cookie = browser.cookies("https://app.localhost/").unwrap();
    let socket = web_socket(gateway, "app.localhost", &cookie).await.unwrap();
    let streams = Streams::beside(socket, gateway, "app", &cookie).await;
    (browser, streams)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_a_a25_whoever_signs_out_has_nothing_that_runs_and_nobody_else_notices() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let provider = OidcProvider::start(json!({})).await;
    let (gateway, _agent) = behind_a_login(&provider, "", (&service, &echo)).await;
    let (mut alice, hers) = sign_in(&gateway, "alice").await;
    let (_, mut others) = sign_in(&gateway, "mallory").await;
    let mut download = raw::Client::connect_tls(&gateway, "app.localhost", &["http/1.1"]).await;
    let cookie = alice.cookies("https://app.localhost/").unwrap();
    let port = gateway.https().port();
    let get = |path| {
        format!("GET {path} HTTP/1.1\r\nHost: app.localhost:{port}\r\nCookie: {cookie}\r\n\r\n")
    };
    download.send(get("/slow-body")).await;
    download.until("begun ").await;

    alice.get("https://app.localhost/adit/logout").await;
    hers.are_ended("session signed out", "16").await;
    // Even what would have come to an end by itself, and the cookie that somebody has kept.
    assert!(!download.rest().await.ends_with(b"done\r\n0\r\n\r\n"));
    let kept = raw::send_tls(&gateway, "app.localhost", get("/api")).await;
    assert_ne!(kept.status, 200);
    others.go_on(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_a_the_provider_may_sign_somebody_out_everywhere() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let provider = OidcProvider::start(json!({})).await;
    let (gateway, _agent) = behind_a_login(&provider, "", (&service, &echo)).await;
    let (_, at_home) = sign_in(&gateway, "alice").await;
    let (_, at_work) = sign_in(&gateway, "alice").await;
    let (_, mut others) = sign_in(&gateway, "mallory").await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let news = json!({
        "iss": provider.issuer(), "aud": "edge", "sub": "alice", "jti": "once",
        "iat": now.as_secs(), "exp": now.as_secs() + 60,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let token = provider.sign(json!({ "typ": "logout+jwt" }), news).await;
    let told = Ask {
        method: Method::POST,
        headers: &[("content-type", "application/x-www-form-urlencoded")],
        body: format!("logout_token={token}"),
    };
    let url = gateway.url("https://app.localhost/adit/backchannel-logout");
    let heard = Browser::new(&gateway).send(&url, told).await;
    assert_eq!(heard.status, 200, "{heard:?}");
    at_home.are_ended("session signed out", "16").await;
    at_work.are_ended("session signed out", "16").await;
    others.go_on(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_a_what_runs_ends_with_its_session_at_the_latest() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let provider = OidcProvider::start(json!({})).await;
    let (gateway, _agent) =
        behind_a_login(&provider, ", max_session_duration: 5s", (&service, &echo)).await;
    let (_, streams) = sign_in(&gateway, "alice").await;
    streams.are_ended("session over", "16").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a20_a_b_c_d_a_socket_behind_a_login_is_refused_before_its_service_is_dialled() {
    let (service, mut echo) = (Service::echo().await, Echo::start().await);
    let provider = OidcProvider::start(json!({})).await;
    let (gateway, _agent) = behind_a_login(&provider, "", (&service, &echo)).await;
    for cookie in ["", "__Host-adit_session=forged"] {
        let refused = web_socket(&gateway, "app.localhost", cookie).await;
        assert_eq!(refused.err(), Some(StatusCode::UNAUTHORIZED), "{cookie}");
    }
    let (_, mut streams) = sign_in(&gateway, "alice").await;
    streams.go_on(&service).await;
    // The first handshake that the service has seen is the one of somebody who has signed in.
    let seen = echo.handshakes.try_recv().unwrap();
    assert!(
        seen.iter()
            .all(|(name, value)| name != "cookie" || !value.contains("adit"))
    );
    assert!(echo.handshakes.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_a_whoever_reads_nothing_is_cut_off_too() {
    let (service, echo) = (Service::echo().await, Echo::start().await);
    let provider = OidcProvider::start(json!({})).await;
    let (gateway, _agent) = behind_a_login(&provider, "", (&service, &echo)).await;
    let (mut alice, _unread) = sign_in(&gateway, "alice").await;
    // More than all that lies between can hold.
    for _ in 0..12 {
        service.send_event(&"x".repeat(4 << 20));
    }
    assert_eq!(service.counts().readers, 3);
    alice.get("https://app.localhost/adit/logout").await;
    service
        .wait_for("the service to see its readers leave", |counts| {
            counts.readers == 0
        })
        .await;
}
