//! `response-body-find-replace`: changes the text of the response's body on its way to the client.

use http::StatusCode;
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG};
use serde::Deserialize;

use super::digests::remove_digests;
use super::replacements::{BodyRules, InBody, entries, results};
use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::body::BODY_MAX;
use crate::body::decode::Decode;
use crate::body::find_replace::FindReplace;
use crate::body::sse::is_event_stream;
use crate::env::Env;
use crate::exchange::{Exchange, Head};

/// Config of `response-body-find-replace`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResponseBodyFindReplace {
    /// What is found and what takes its place, in order: each on what the one before has left. The whole body is held,
    /// up to 10 MiB; a larger one ends as 502. The service is asked for a plain and whole body, whatever the client
    /// accepts; one in gzip, deflate or br is decoded, and one in another coding, or a part of one, is an error.
    /// An event stream passes as it is: `sse-find-replace` is for those.
    ///
    /// The body passes when the phase is over. So `actions.ngrok.response_body_find_replace.replacements` is an empty list
    /// for the actions behind this one.
    #[serde(deserialize_with = "entries")]
    replacements: Vec<InBody>,
}

#[derive(Debug)]
pub(super) struct Replace(BodyRules);

impl Config for ResponseBodyFindReplace {
    const TYPE: &'static str = "response-body-find-replace";
    const PHASES: &'static [Phase] = &[Phase::OnHttpResponse];
    const RESULTS: Option<&'static str> = Some("response_body_find_replace");
    const READS_RESPONSE_BODY: bool = true;
    type Action = Replace;

    fn build(self, _: &Env) -> Result<Replace, Unbuildable> {
        Ok(Replace(BodyRules::new(self.replacements)))
    }
}

impl Action for Replace {
    fn on_http_response(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        if exchange.memory.wants_results() {
            exchange
                .memory
                .set_result("response_body_find_replace", results([]));
        }
        let response = exchange.response()?;
        let status = response.status;
        if status.is_informational() || has_no_body(status) {
            return Ok(Flow::Next);
        }
        if is_event_stream(response.head.lines()) {
            let what =
                "response-body-find-replace leaves an event stream as it is; use sse-find-replace";
            exchange
                .env
                .log()
                .warn(&exchange.endpoint.url.to_string(), what);
            return Ok(Flow::Next);
        }
        if status == StatusCode::PARTIAL_CONTENT {
            return Err(Fault::Other {
                reason: "a part of a body cannot be changed, for its length is told in advance (ERR_ADIT_3905)".to_owned(),
                code: 3905,
            });
        }
        let rules = self.0.get(exchange)?;
        let taint = exchange.memory.action_taint();
        if taint.is_secret() {
            exchange
                .memory
                .mark_parts(|parts| parts.response_body = taint);
        }
        let response = exchange.response_mut()?;
        for layer in Decode::all(response.head.lines(), BODY_MAX)? {
            response.transforms.push(Box::new(layer));
        }
        response.transforms.push(Box::new(FindReplace::with(rules)));
        announce(&mut response.head)
    }
}

/// The header tells nothing any more of the body as it came.
fn announce(head: &mut Head<'_>) -> Result<Flow, Fault> {
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, ETAG, ACCEPT_RANGES] {
        head.remove(name)?;
    }
    remove_digests(head)?;
    Ok(Flow::Next)
}

fn has_no_body(status: StatusCode) -> bool {
    [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::BytesMut;
    use http::HeaderMap;

    use crate::action::Fault;
    use crate::body::BodyFault;
    use crate::body::Transform as _;
    use crate::body::coding::Coding;
    use crate::body::compress::Compress;
    use crate::env::{Env, Log};
    use crate::exchange::{Exchange, HeaderEdit};
    use crate::testing::{ENV, lines, one, policy, response};
    use crate::verdict::Verdict;

    const ON: &str = "on_http_response";
    const SECRET: &str = "{replacements: [{from: secret, to: '***'}]}";

    /// Sends a body through what a policy left to be done to it.
    fn through(exchange: &mut Exchange<'_>, body: &[u8]) -> Result<Vec<u8>, BodyFault> {
        let mut body = body.to_vec();
        for transform in &mut exchange.response_mut().unwrap().transforms {
            let mut out = BytesMut::new();
            for piece in body.chunks(3) {
                transform.push(piece, &mut out)?;
            }
            transform.end(&mut out)?;
            body = out.to_vec();
        }
        Ok(body)
    }

    async fn fault(came: &HeaderMap, status: u16) -> Fault {
        let none = HeaderMap::new();
        let mut exchange = response(&none, came);
        exchange.response_mut().unwrap().status = status.try_into().unwrap();
        let policy = policy(&one(ON, "response-body-find-replace", SECRET));
        match policy.on_http_response(&mut exchange).await {
            Verdict::Fault { fault, .. } => fault,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn changes_a_body_and_what_its_header_says() {
        let none = HeaderMap::new();
        let came = lines(&[
            ("content-length", "8"),
            ("etag", "\"1\""),
            ("accept-ranges", "bytes"),
            ("content-md5", "x"),
            ("content-type", "text/plain"),
        ]);
        let mut exchange = response(&none, &came);
        let then = "      - type: add-headers
        config: {headers: {x-found: '=${actions.ngrok.response_body_find_replace.replacements}'}}\n";
        let policy = policy(&(one(ON, "response-body-find-replace", SECRET) + then));
        assert!(matches!(
            policy.on_http_response(&mut exchange).await,
            Verdict::Continue
        ));
        let head = exchange.response().unwrap().head.lines();
        assert_eq!((head.len(), &head["x-found"]), (2, &"=[]".parse().unwrap()));
        assert_eq!(head["content-type"], "text/plain");
        assert_eq!(through(&mut exchange, b"a secret").unwrap(), b"a ***");
    }

    #[tokio::test]
    async fn an_encoded_body_leaves_in_plain() {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Br] {
            let mut encoded = BytesMut::new();
            let mut compress = Compress::new(coding).unwrap();
            compress.push(b"a secret", &mut encoded).unwrap();
            compress.end(&mut encoded).unwrap();
            let none = HeaderMap::new();
            let came = lines(&[("content-encoding", coding.name())]);
            let mut exchange = response(&none, &came);
            let policy = policy(&one(ON, "response-body-find-replace", SECRET));
            assert!(matches!(
                policy.on_http_response(&mut exchange).await,
                Verdict::Continue
            ));
            assert!(exchange.response().unwrap().head.lines().is_empty());
            assert_eq!(through(&mut exchange, &encoded).unwrap(), b"a ***");
            assert_eq!(through(&mut exchange, b"").unwrap_or_default(), b"");
        }
    }

    #[tokio::test]
    async fn a_body_may_be_compressed_after_it_was_changed() {
        let accepts = lines(&[("accept-encoding", "gzip")]);
        let none = HeaderMap::new();
        let mut exchange = response(&accepts, &none);
        let compress = "      - type: compress-response\n";
        let again = "      - type: response-body-find-replace\n        config: {replacements: [{from: 'a', to: b}]}\n";
        let policy = policy(&(one(ON, "response-body-find-replace", SECRET) + compress + again));
        assert!(matches!(
            policy.on_http_response(&mut exchange).await,
            Verdict::Continue
        ));
        assert_eq!(through(&mut exchange, b"a secret").unwrap(), b"b ***");
        assert!(
            !exchange
                .response()
                .unwrap()
                .head
                .lines()
                .contains_key("content-encoding")
        );
    }

    #[tokio::test]
    async fn what_cannot_be_changed_is_an_error() {
        let zstd = fault(&lines(&[("content-encoding", "zstd")]), 200).await;
        assert_eq!(
            (
                zstd.code(),
                zstd.status(crate::action::Phase::OnHttpResponse).as_u16()
            ),
            (3904, 502)
        );
        assert_eq!(fault(&HeaderMap::new(), 206).await.code(), 3905);
        let none = HeaderMap::new();
        let mut exchange = response(&none, &none);
        let policy = policy(&one(ON, "response-body-find-replace", SECRET));
        assert!(matches!(
            policy.on_http_response(&mut exchange).await,
            Verdict::Continue
        ));
        assert_eq!(
            through(&mut exchange, &vec![0; super::BODY_MAX + 1]),
            Err(BodyFault::TooLarge)
        );
    }

    #[derive(Debug, Default)]
    struct Warnings(Mutex<Vec<String>>);

    impl Log for Warnings {
        fn write(&self, _: &str, _: &str) {}

        fn warn(&self, endpoint: &str, what: &str) {
            self.0.lock().unwrap().push(format!("{endpoint}: {what}"));
        }
    }

    #[tokio::test]
    async fn an_event_stream_passes_and_the_log_says_so() {
        let log = Arc::new(Warnings::default());
        let env: Env = ENV.clone().with_log(Arc::<Warnings>::clone(&log));
        let none = HeaderMap::new();
        let came = lines(&[("content-type", "Text/Event-Stream; charset=utf-8")]);
        let mut exchange = response(&none, &came);
        exchange.env = &env;
        let policy = policy(&one(ON, "response-body-find-replace", SECRET));
        assert!(matches!(
            policy.on_http_response(&mut exchange).await,
            Verdict::Continue
        ));
        assert!(exchange.response().unwrap().transforms.is_empty());
        assert_eq!(
            *log.0.lock().unwrap(),
            [
                "https://app.example.com: response-body-find-replace leaves an event stream as it is; use sse-find-replace"
            ]
        );
    }

    #[tokio::test]
    async fn what_has_no_body_stays_as_it_is() {
        let none = HeaderMap::new();
        let came = lines(&[("etag", "\"1\"")]);
        for status in [101, 204, 304] {
            let mut exchange = response(&none, &came);
            exchange.response_mut().unwrap().status = status.try_into().unwrap();
            let policy = policy(&one(ON, "response-body-find-replace", SECRET));
            assert!(matches!(
                policy.on_http_response(&mut exchange).await,
                Verdict::Continue
            ));
            assert!(
                exchange.response().unwrap().head.edits().is_empty(),
                "{status}"
            );
        }
    }

    #[test]
    fn the_service_is_asked_for_a_whole_and_plain_body() {
        let edits = |text: &str| policy(text).upstream_edits().to_vec();
        let names: Vec<_> = edits(&one(ON, "response-body-find-replace", SECRET))
            .into_iter()
            .map(|edit| match edit {
                HeaderEdit::Set { name, value } => format!("{name}={}", value.to_str().unwrap()),
                HeaderEdit::Remove { name } => format!("-{name}"),
                HeaderEdit::Append { name, .. } => format!("+{name}"),
            })
            .collect();
        assert_eq!(names, ["accept-encoding=identity", "-range", "-if-range"]);
        assert!(edits(&one(ON, "compress-response", "{}")).is_empty());
        let tried = one(ON, "response-body-find-replace", SECRET)
            .replace("- actions", "- mode: shadow\n    actions");
        assert!(edits(&tried).is_empty(), "a trial changes nothing");
    }
}
