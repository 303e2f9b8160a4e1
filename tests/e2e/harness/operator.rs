//! What an operator asks a gateway: is it well, and what has it counted.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;

use super::{raw, soon};

/// The answer to one question at the admin listener.
pub(crate) async fn ask(admin: SocketAddr, path: &str) -> raw::RawAnswer {
    raw::send(
        admin,
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    )
    .await
}

/// How the gateway is.
pub(crate) async fn health(admin: SocketAddr) -> Value {
    ask(admin, "/health").await.json()
}

/// Asks again until the gateway is as `wanted` says.
pub(crate) async fn health_until(
    admin: SocketAddr,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            let health = health(admin).await;
            if wanted(&health) {
                return health;
            }
        }
    };
    soon(what, asking).await
}

/// The value of one sample: `adit_sessions`, or `name{label="value"}` as it stands on the page.
pub(crate) async fn metric(admin: SocketAddr, sample: &str) -> u64 {
    let page = ask(admin, "/metrics").await.text();
    let value = page.lines().find_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        (name == sample).then_some(value)
    });
    let value = value.unwrap_or_else(|| panic!("no {sample} in:\n{page}"));
    value.parse().unwrap()
}

/// Asks again until a sample has this value: an exchange is counted when it has ended, which its client does not see.
pub(crate) async fn metric_until(admin: SocketAddr, sample: &str, wanted: u64) {
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while metric(admin, sample).await != wanted {
            tick.tick().await;
        }
    };
    soon(&format!("{sample} to be {wanted}"), asking).await;
}
