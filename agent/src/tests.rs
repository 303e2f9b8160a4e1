//! The agent against a gateway in miniature, over real sockets.

mod faults;
mod forwarding;
mod health;
mod life;
mod place;
mod policy;

use std::{sync::Arc, time::Duration};

use adit_wire::{
    frame,
    limits::{GREETING_FRAME, OLDEST_VERSION, OPEN_FRAME, VERSION},
    message::{
        AgentMessage, Answer, DialErrorKind, GatewayMessage, Greeting, Heartbeat, OpenResult,
        Protocol, RefusalCode, Welcome,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Agent, BindError, ConnectError, End, EndpointOptions, Event, Forwarder, Upstream,
    testing::{MiniGateway, Peer, certificate, echo, event, nobody, refusal, result, terms},
};

/// An agent with one endpoint, id 7, that is forwarded to `upstream`.
async fn forwarding(upstream: &str) -> (MiniGateway, Agent, Peer, Forwarder) {
    forwarding_to(Upstream::parse(upstream).unwrap()).await
}

async fn forwarding_to(upstream: Upstream) -> (MiniGateway, Agent, Peer, Forwarder) {
    let gateway = MiniGateway::start().await;
    let agent = gateway.agent().connect().await.unwrap();
    let (_, mut peer) = gateway.session().await;
    let options = EndpointOptions::new("web");
    let (forwarder, _) = tokio::join!(
        agent.forward(options, upstream),
        peer.grant(7, "https://web.example.com")
    );
    (gateway, agent, peer, forwarder.unwrap())
}

async fn echoes(peer: &Peer) {
    let mut stream = peer.open(7).await;
    assert_eq!(result(&mut stream).await, OpenResult::Open);
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"hello");
}
