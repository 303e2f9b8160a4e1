//! Challenges: requests by which a provider asks, before it sends anything, whether we know the secret.
//!
//! An answer signs a text of the asker's choice with the very key that signs webhooks. So only what cannot be (part of) a
//! webhook is ever signed, or anybody could have webhooks of their own signed here.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::form;
use super::mac::{Encoding, Hash, Mac};
use super::scheme::Scheme;
use super::{BadSecret, Incoming, Provider, Unverified, only};
use crate::action::Reply;

/// A scheme whose provider also asks.
#[derive(Debug)]
pub(super) struct Challenged {
    pub(super) scheme: Scheme<'static>,
    pub(super) answer: fn(&Scheme<'_>, &str, &Incoming<'_>) -> Option<Reply>,
}

impl Provider for Challenged {
    fn accepts(&self, secret: &str) -> Result<(), BadSecret> {
        self.scheme.accepts(secret)
    }

    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        self.scheme.verify(secret, incoming)
    }

    fn challenge(&self, secret: &str, incoming: &Incoming<'_>) -> Option<Reply> {
        self.scheme.accepts(secret).ok()?;
        (self.answer)(&self.scheme, secret, incoming)
    }
}

/// Twitter's challenge-response check: `GET ?crc_token=…` is answered with the token's signature.
pub(super) fn twitter(_: &Scheme<'_>, secret: &str, incoming: &Incoming<'_>) -> Option<Reply> {
    let query = incoming.url.split_once('?')?.1;
    let pairs = form::pairs(query.as_bytes());
    let (_, token) = pairs.iter().find(|(name, _)| &**name == b"crc_token")?;
    if incoming.method != Method::GET || !is_token(token) {
        return None;
    }
    let signature = sign(secret, token, Encoding::Base64);
    let body = json!({ "response_token": format!("sha256={signature}") });
    Some(reply("application/json", body.to_string()))
}

/// Zoom's `endpoint.url_validation`, which is signed like every other event.
pub(super) fn zoom(scheme: &Scheme<'_>, secret: &str, incoming: &Incoming<'_>) -> Option<Reply> {
    #[derive(Deserialize)]
    struct Event {
        event: String,
        payload: Payload,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Payload {
        plain_token: String,
    }

    let event: Event = serde_json::from_slice(incoming.body).ok()?;
    let token = event.payload.plain_token;
    let asks = event.event == "endpoint.url_validation" && is_token(token.as_bytes());
    if !asks || scheme.verify(secret, incoming).is_err() {
        return None;
    }
    let signature = sign(secret, token.as_bytes(), Encoding::Hex);
    let body = json!({ "plainToken": token, "encryptedToken": signature });
    Some(reply("application/json", body.to_string()))
}

/// Xero's intent to receive: events without any event, some of them signed wrongly, to see whether we look.
pub(super) fn xero(scheme: &Scheme<'_>, secret: &str, incoming: &Incoming<'_>) -> Option<Reply> {
    #[derive(Deserialize)]
    struct Events {
        events: [(); 0],
        #[serde(rename = "entropy")]
        _entropy: String,
    }

    let Events { events: [], .. } = serde_json::from_slice(incoming.body).ok()?;
    // Without a body, as Xero demands.
    let mut reply = Reply::new(Bytes::new());
    if scheme.verify(secret, incoming).is_err() {
        *reply.status_mut() = StatusCode::UNAUTHORIZED;
    }
    Some(reply)
}

/// Worldline's endpoint verification: the text in this header, said again in the body.
pub(super) fn worldline(_: &Scheme<'_>, _: &str, incoming: &Incoming<'_>) -> Option<Reply> {
    let echo = only(incoming, "x-gcs-webhooks-endpoint-verification").ok()??;
    (incoming.method == Method::GET).then(|| reply("text/plain", echo.to_owned()))
}

/// Whether this can only be a token: no webhook, which is JSON or has a version and colons before it, looks like that.
fn is_token(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_+/=".contains(byte);
    (1..=256).contains(&text.len())
        && text.iter().all(plain)
        && text.iter().any(|byte| !byte.is_ascii_digit())
}

fn sign(secret: &str, token: &[u8], encoding: Encoding) -> String {
    let mut mac = Mac::new(Hash::Sha256, secret.as_bytes());
    mac.add(token);
    mac.finish().write(encoding)
}

fn reply(kind: &'static str, body: String) -> Reply {
    let mut reply = Reply::new(body.into());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::HeaderMap;

    use super::*;
    use crate::testing::lines;
    use crate::webhook::provider;

    const SECRET: &str = "a secret of theirs";

    fn ask(id: &str, method: &Method, url: &str, headers: &HeaderMap, body: &str) -> Option<Reply> {
        let incoming = Incoming {
            method,
            url,
            headers,
            body: body.as_bytes(),
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        };
        provider(id).unwrap().challenge(SECRET, &incoming)
    }

    fn text(reply: &Reply) -> &str {
        std::str::from_utf8(reply.body()).unwrap()
    }

    /// The expected signatures of this module were made with Python's `hmac`.
    #[test]
    fn twitter_asks_with_a_token_in_the_query() {
        let headers = HeaderMap::new();
        let ask = |method: &Method, query: &str| {
            let url = format!("https://app.example.com/hooks{query}");
            ask("twitter", method, &url, &headers, "")
        };
        let reply = ask(
            &Method::GET,
            "?nonce=1&crc_token=9b4507b3-9040-4669-9ca3-6b94edb50553",
        )
        .unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(
            text(&reply),
            r#"{"response_token":"sha256=PMkUyD+CIPvqiOyNcOySBKZSBJ8160unB9k4ulmMMAM="}"#
        );
        assert!(ask(&Method::POST, "?crc_token=abc").is_none());
        assert!(ask(&Method::GET, "").is_none());
        // Whoever asks must not get a webhook of their own signed.
        for webhook in ["%7B%22a%22%3A1%7D", "", "17", "a%0A", "%5B%5D"] {
            assert!(
                ask(&Method::GET, &format!("?crc_token={webhook}")).is_none(),
                "{webhook}"
            );
        }
    }

    #[test]
    fn zoom_asks_with_a_signed_event() {
        let body = r#"{"payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1654503849680,"event":"endpoint.url_validation"}"#;
        let signed = lines(&[
            (
                "x-zm-signature",
                "v0=5bc91e8ad5e44c1951f8b2916b862d3dea928bdb685c8fd6fd810d564debe8f2",
            ),
            ("x-zm-request-timestamp", "1700000000"),
        ]);
        let url = "https://app.example.com/hooks";
        let reply = ask("zoom", &Method::POST, url, &signed, body).unwrap();
        assert_eq!(
            text(&reply),
            r#"{"encryptedToken":"a8d80c76d33bb893aa5b2c7ebf1c90087468f1913653d5a449aa578988438339","plainToken":"qgg8vlvZRS6UYooatFL8Aw"}"#
        );
        assert!(ask("zoom", &Method::POST, url, &HeaderMap::new(), body).is_none());
        let other = body.replace("qgg8", "v0:1");
        assert!(ask("zoom", &Method::POST, url, &signed, &other).is_none());
        let event = body.replace("endpoint.url_validation", "meeting.started");
        assert!(ask("zoom", &Method::POST, url, &signed, &event).is_none());
    }

    /// https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/
    #[test]
    fn xero_asks_with_no_events_and_sometimes_with_a_wrong_signature() {
        let body = r#"{"events":[],"lastEventSequence":0,"firstEventSequence":0,"entropy":"S0m3r4Nd0mt3xt"}"#;
        let url = "https://app.example.com/hooks";
        let right = lines(&[(
            "x-xero-signature",
            "ABDcSB72S3pO7BYoyr4pj34HfNJSlY8wJh1npya0D4k=",
        )]);
        let wrong = lines(&[("x-xero-signature", "AAAA")]);
        for (headers, status) in [(&right, 200), (&wrong, 401), (&HeaderMap::new(), 401)] {
            let reply = ask("xero", &Method::POST, url, headers, body).unwrap();
            assert_eq!(reply.status(), status);
            assert!(reply.body().is_empty());
        }
        let event = body.replace("[]", r#"[{"resourceUrl":"…"}]"#);
        assert!(ask("xero", &Method::POST, url, &right, &event).is_none());
    }

    /// https://docs.connect.worldline-solutions.com/documentation/webhooks/
    #[test]
    fn worldline_wants_to_hear_its_header_again() {
        let headers = lines(&[("x-gcs-webhooks-endpoint-verification", "<b>1234</b>")]);
        let url = "https://app.example.com/hooks";
        let reply = ask("worldline", &Method::GET, url, &headers, "").unwrap();
        assert_eq!(text(&reply), "<b>1234</b>");
        assert_eq!(reply.headers()[CONTENT_TYPE], "text/plain");
        assert_eq!(reply.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(ask("worldline", &Method::POST, url, &headers, "").is_none());
        assert!(ask("worldline", &Method::GET, url, &HeaderMap::new(), "").is_none());
    }

    #[test]
    fn who_asks_nothing_is_answered_nothing() {
        let headers = HeaderMap::new();
        let url = "https://app.example.com/hooks?crc_token=abc";
        assert!(ask("github", &Method::GET, url, &headers, "").is_none());
    }
}
