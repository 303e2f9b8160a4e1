//! A client of the admin API.

use std::net::SocketAddr;

use serde_json::Value;

use super::{Gateway, raw};

/// The admin API of a gateway, with a token.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Api {
    /// The one of a gateway in this process, with the token that lies in its data directory.
    pub(crate) fn of(gateway: &Gateway) -> Self {
        let token = std::fs::read_to_string(gateway.folder().join("data/api.token")).unwrap();
        Self {
            address: gateway.api(),
            token: token.trim().to_owned(),
        }
    }

    /// The status of an answer, and what it says.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let kind = match body.is_empty() {
            true => "",
            false => "Content-Type: application/json\r\n",
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        let answer = raw::send(self.address, request).await;
        (answer.status, answer.json())
    }

    /// What a path says; it must be there.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// Asks again until `wanted` likes the answer.
    pub(crate) async fn until(
        &self,
        path: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let asking = async {
            let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
            loop {
                tick.tick().await;
                let value = self.get(path).await;
                if wanted(&value) {
                    return value;
                }
            }
        };
        super::soon(what, asking).await
    }
}
