//! What the tests are made of: a gateway, agents, services and clients, each a real one over sockets.
//!
//! ```ignore
//! let service = Service::echo().await;
//! let gateway = Gateway::start().await;
//! let agent = Agent::forward(&gateway, "https://app.localhost", service.addr()).await;
//! let answer = curl(&gateway, ["https://app.localhost"]).await;     // the public port is filled in
//! assert_eq!(service.requests()[0].header("host"), Some("app.localhost"));
//! ```
//!
//! - [`Gateway`]: in this process, built from the text of a `gateway.yaml`
//! - [`Agent`]: in this process, through the public API of `adit-agent`
//! - [`AditProcess`]: the real command, which can be killed, stopped and measured; [`command`]: as an agent or a gateway
//! - [`Service`]: a service that says what it received; [`RawService`]: one that follows a script, byte for byte
//! - [`stage`]: all of these set up to judge requests by hand; [`siege`]: the same to be flooded
//! - [`crowd`]: clients that ask all the time, and what they got; [`namespace`]: a network that can be cut
//! - [`bytes`]: clients and services without HTTP
//! - [`named`]: a service that answers its name and counts its connections
//! - [`hand_agent`]: an agent that says what a real one never would; [`relay`]: a line that can be stopped
//! - [`regulars`]: clients that notice every failure and every connection that is closed
//! - [`load`]: clients that never rest, and what went wrong for them
//! - [`mirroring`]: a gateway that mirrors one endpoint to another
//! - [`operator`]: questions to the admin listener; [`prometheus`]: its metrics, read strictly; [`api`]: the admin API
//! - [`OidcProvider`], [`glewlwyd`]: identity providers; [`Browser`]: what a person has, without JavaScript; [`chromium`]: with it
//! - [`curl()`], [`raw`], [`h2`], [`h2raw`], [`visitor`]: clients, from polite to hostile
//!
//! Ports are chosen by the operating system. Nothing waits on a clock: [`soon`] bounds a wait for an event.

mod agent;
pub(crate) mod api;
pub(crate) mod browser;
pub(crate) mod bytes;
pub(crate) mod chromium;
pub(crate) mod command;
pub(crate) mod company;
pub(crate) mod cookie_jar;
pub(crate) mod crowd;
mod curl;
mod deployed;
pub(crate) mod gateway;
pub(crate) mod glewlwyd;
pub(crate) mod h2;
pub(crate) mod h2raw;
pub(crate) mod hand_agent;
pub(crate) mod issuer;
pub(crate) mod lines;
pub(crate) mod load;
pub(crate) mod mirroring;
pub(crate) mod named;
pub(crate) mod namespace;
pub(crate) mod operator;
mod process;
pub(crate) mod prometheus;
pub(crate) mod provider;
mod public;
pub(crate) mod raw;
mod raw_service;
pub(crate) mod regulars;
pub(crate) mod relay;
mod service;
pub(crate) mod siege;
pub(crate) mod stage;
pub(crate) mod streams;
pub(crate) mod terminal;
pub(crate) mod tls;
pub(crate) mod visitor;

use std::{future::Future, time::Duration};

pub(crate) use agent::{Agent, event};
pub(crate) use browser::{Ask, Browser, Page};
pub(crate) use curl::{CurlOutput, curl};
pub(crate) use deployed::{Deployed, listening, online};
pub(crate) use gateway::{Gateway, token_of};
pub(crate) use process::AditProcess;
pub(crate) use provider::{CLIENT_SECRET, OidcProvider};
pub(crate) use public::Public;
pub(crate) use raw_service::{RawConn, RawService, SWITCHING};
pub(crate) use service::{Received, Service, mebibyte, pattern};

/// The longest wait for anything that is bound to happen. A test that meets it has failed.
pub(crate) const LONGEST: Duration = Duration::from_secs(20);

/// Awaits an event that must come.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LONGEST, event).await {
        Ok(value) => value,
        Err(_) => panic!("waited {LONGEST:?} for {what}"),
    }
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// The SHA-256 of the same bytes so many times.
pub(crate) fn sha256_of_many(bytes: &[u8], times: usize) -> String {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    (0..times).for_each(|_| digest.update(bytes));
    hex(digest.finish().as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
