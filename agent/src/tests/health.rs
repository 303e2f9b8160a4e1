//! What an agent says of its services, and to whom.

use std::{net::SocketAddr, sync::Mutex};

use tokio::sync::watch;

use super::*;
use crate::HealthCheck;

/// A service of HTTP that answers each connection with the status of the moment, or not at all.
struct Ward {
    address: SocketAddr,
    status: Arc<Mutex<Option<u16>>>,
    asked: watch::Receiver<usize>,
}

impl Ward {
    async fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let status = Arc::new(Mutex::new(Some(status)));
        let (count, asked) = watch::channel(0);
        let of_the_moment = Arc::clone(&status);
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut tcp, _)) = listener.accept().await {
                let mut question = vec![0; 4096];
                let length = tcp.read(&mut question).await.unwrap_or_default();
                let question = String::from_utf8_lossy(&question[..length]).into_owned();
                count.send_modify(|count| *count += 1);
                let status = *of_the_moment.lock().unwrap();
                let right = question.starts_with("GET /healthz?secret HTTP/1.1\r\n")
                    && question.contains("host: ward.test")
                    && question.contains("user-agent: adit-health-check/");
                match status {
                    Some(status) if right => {
                        let answer = format!("HTTP/1.1 {status} So\r\ncontent-length: 9\r\n\r\n");
                        tcp.write_all(answer.as_bytes()).await.unwrap();
                    }
                    Some(_) => tcp.write_all(b"nonsense").await.unwrap(),
                    None => held.push(tcp),
                }
            }
        });
        Self {
            address,
            status,
            asked,
        }
    }

    fn set(&self, status: impl Into<Option<u16>>) {
        *self.status.lock().unwrap() = status.into();
    }

    /// Waits for some more checks.
    async fn checked(&self, times: usize) {
        let mut asked = self.asked.clone();
        let now = *asked.borrow();
        asked.wait_for(|asked| *asked >= now + times).await.unwrap();
    }

    fn upstream(&self) -> Upstream {
        let check = HealthCheck::http("/healthz?secret").unwrap();
        let check = check.host("ward.test").unwrap();
        let check = check.interval(Duration::from_millis(100));
        let check = check.timeout(Duration::from_millis(500));
        Upstream::parse(&self.address.to_string())
            .unwrap()
            .health_check(check)
    }
}

/// What the agent says next, of endpoint 7.
async fn health(peer: &mut Peer) -> (bool, String) {
    match peer.hear().await {
        Some(AgentMessage::Health {
            endpoint: 7,
            up,
            reason,
        }) => (up, reason),
        other => panic!("health of 7 expected, not {other:?}"),
    }
}

fn up() -> (bool, String) {
    (true, String::new())
}

fn down(why: &str) -> (bool, String) {
    (false, why.to_owned())
}

/// Waits until the agent has found a service up or down.
async fn found(events: &mut tokio::sync::broadcast::Receiver<Event>, wanted: bool) -> String {
    event(events, |event| match event {
        Event::Health { up, reason, .. } if *up == wanted => Some(reason.clone()),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn each_change_is_said_once_and_again_in_each_new_session() {
    let ward = Ward::start(200).await;
    let (gateway, agent, mut peer, _forwarder) = forwarding_to(ward.upstream()).await;
    let mut events = agent.events();
    assert_eq!(health(&mut peer).await, up());
    ward.checked(3).await;
    ward.set(503);
    assert_eq!(health(&mut peer).await, down("GET /healthz: status 503"));
    assert_eq!(found(&mut events, false).await, "GET /healthz: status 503");
    ward.checked(3).await;
    ward.set(None);
    assert_eq!(health(&mut peer).await, down("no answer within 500ms"));
    peer.cut();

    let (_, mut peer) = gateway.session().await;
    let spec = peer.grant(7, "https://web.example.com").await;
    assert!(spec.checked);
    assert_eq!(health(&mut peer).await, down("no answer within 500ms"));
    peer.cut();
    // And what is found while there is no session.
    ward.set(204);
    found(&mut events, true).await;
    let (_, mut peer) = gateway.session().await;
    peer.grant(7, "https://web.example.com").await;
    assert_eq!(health(&mut peer).await, up());
}

#[tokio::test]
async fn a_single_failure_is_not_told() {
    let ward = Ward::start(200).await;
    let (_gateway, _agent, mut peer, forwarder) = forwarding_to(ward.upstream()).await;
    assert_eq!(health(&mut peer).await, up());
    ward.set(500);
    ward.checked(1).await;
    ward.set(200);
    ward.checked(3).await;
    // The next thing that is said is about something else.
    forwarder.close().await;
    assert!(matches!(
        peer.hear().await,
        Some(AgentMessage::Unbind { endpoint: 7 })
    ));
}

#[tokio::test]
async fn what_nobody_serves_any_more_is_not_checked() {
    let ward = Ward::start(200).await;
    let (_gateway, agent, mut peer, forwarder) = forwarding_to(ward.upstream()).await;
    assert_eq!(health(&mut peer).await, up());
    forwarder.close().await;
    // One may have been on its way.
    let mut asked = ward.asked.clone();
    asked.mark_unchanged();
    let later = async {
        asked.changed().await.unwrap();
        asked.changed().await.unwrap();
    };
    let long = Duration::from_millis(500);
    assert!(tokio::time::timeout(long, later).await.is_err());
    drop((agent, forwarder));
    peer.lane.closed().await;
}

#[tokio::test]
async fn a_connection_is_enough_for_tcp_and_nobody_there_is_told_as_such() {
    let (held, address) = nobody();
    let check = HealthCheck::tcp().interval(Duration::from_millis(100));
    let upstream = Upstream::parse(&address.to_string()).unwrap();
    let upstream = upstream.health_check(check);
    let (_gateway, _agent, mut peer, _forwarder) = forwarding_to(upstream).await;
    let why = format!("nothing listens on http://{address}");
    assert_eq!(health(&mut peer).await, down(&why));
    let listener = held.listen(8).unwrap();
    assert_eq!(health(&mut peer).await, up());
    drop(listener);
    assert_eq!(health(&mut peer).await, down(&why));
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_is_checked_as_it_is_dialled() {
    let path = std::env::temp_dir().join(format!("adit-check-{}.sock", std::process::id()));
    drop(std::fs::remove_file(&path));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut io, _)) = listener.accept().await {
            let mut question = vec![0; 4096];
            let length = io.read(&mut question).await.unwrap();
            let question = String::from_utf8_lossy(&question[..length]);
            assert!(question.contains("host: localhost\r\n"), "{question}");
            io.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n")
                .await
                .unwrap();
        }
    });
    let check = HealthCheck::http("/").unwrap().statuses("404").unwrap();
    let upstream = Upstream::parse(&format!("unix:{}", path.display())).unwrap();
    let upstream = upstream.health_check(check);
    let (_gateway, _agent, mut peer, _forwarder) = forwarding_to(upstream).await;
    assert_eq!(health(&mut peer).await, up());
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn an_older_gateway_is_told_nothing_and_the_session_goes_on() {
    let ward = Ward::start(503).await;
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let mut events = agent.events();
    let old = Welcome {
        version: 3,
        ..terms()
    };
    let mut peer = gateway.greeted().await.welcome(old).await;
    let (forwarder, _) = tokio::join!(
        agent.forward(EndpointOptions::new("web"), ward.upstream()),
        peer.grant(7, "https://web.example.com")
    );
    found(&mut events, false).await;
    ward.checked(2).await;
    forwarder.unwrap().close().await;
    assert!(matches!(
        peer.hear().await,
        Some(AgentMessage::Unbind { endpoint: 7 })
    ));
}
