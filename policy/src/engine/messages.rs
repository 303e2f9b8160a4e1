//! The messages of an event stream: their phase runs on each, while the response's body passes.

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use super::{Rule, shadow, traced, verdict};
use crate::action::{Fault, Phase};
use crate::body::decode::Decode;
use crate::body::sse::{EventStream, is_event_stream};
use crate::body::{BodyFault, Message};
use crate::exchange::{Exchange, Kept};
use crate::verdict::{Place, Verdict};

const PHASE: Phase = Phase::OnEventStreamMessage;

/// Where in the response's transforms the messages are looked at: behind what decodes them, and before all that the
/// response's own phase does to the body. `None`: the response is no event stream.
pub(super) fn prepare(exchange: &mut Exchange<'_>) -> Result<Option<usize>, Fault> {
    let response = exchange.response_mut()?;
    if !is_event_stream(response.head.lines()) {
        return Ok(None);
    }
    // A stream has no size; each message has a bound.
    for layer in Decode::all(response.head.lines(), usize::MAX)? {
        response.transforms.push(Box::new(layer));
    }
    response.head.remove(CONTENT_ENCODING)?;
    response.head.remove(CONTENT_LENGTH)?;
    Ok(Some(response.transforms.len()))
}

/// Puts the phase of the messages there. It sees the exchange as it is now.
pub(super) fn begin(
    rules: &Arc<[Rule]>,
    at: usize,
    exchange: &mut Exchange<'_>,
) -> Result<(), Fault> {
    let rules = Arc::clone(rules);
    let kept = Kept::of(exchange);
    let visit = move |message: &mut Message| kept.with(message, |seen| decide(&rules, seen));
    let transforms = &mut exchange.response_mut()?.transforms;
    transforms.insert(at.min(transforms.len()), Box::new(EventStream::new(visit)));
    Ok(())
}

/// Runs the phase on the message of an exchange.
pub(super) fn run(rules: &[Rule], exchange: &mut Exchange<'_>) -> Verdict {
    exchange.memory.begin_phase();
    for (index, rule) in rules.iter().enumerate() {
        if rule.shadow {
            shadow::run_on_message(rule, PHASE, index, exchange);
            continue;
        }
        match rule.admit(PHASE, index, exchange) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(verdict) => return *verdict,
        }
        for (action, step) in rule.steps.iter().enumerate() {
            let flow = match exchange.memory.trace() {
                None => step.begin(PHASE, exchange),
                Some(_) => traced::begin(step, PHASE, action, exchange),
            };
            if let Some(verdict) = verdict(flow, || rule.place(PHASE, index, action)) {
                return verdict;
            }
        }
    }
    Verdict::Continue
}

/// What could not be decided ends the stream: the message never leaves.
fn decide(rules: &[Rule], exchange: &mut Exchange<'_>) -> Result<(), BodyFault> {
    let (fault, by) = match run(rules, exchange) {
        Verdict::Continue => return Ok(()),
        Verdict::Fault { fault, by } => (fault, Some(by)),
        // No action of this phase answers.
        other => (Fault::Phase, other.by().cloned()),
    };
    let place = by.as_ref().map_or_else(String::new, Place::to_string);
    let what = format!("{place}: {fault}; the event stream ends");
    let log = exchange.env.log();
    log.warn(&exchange.endpoint.url.to_string(), &what);
    Err(match fault {
        Fault::Body(fault) => fault,
        other => BodyFault::Undecided(other.code()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::{Bytes, BytesMut};
    use http::HeaderMap;

    use super::*;
    use crate::body::Transform;
    use crate::body::coding::Coding;
    use crate::body::compress::Compress;
    use crate::env::{Env, Log};
    use crate::exchange::HeaderEdit;
    use crate::testing::{ENV, lines, policy, response};

    const REDACT: &str = "on_event_stream_message:
  - expressions: [\"req.headers['x-role'][0] != 'admin' && res.status_code == 200 && endpoint.id == 'ep_1' && conn.client_port == 50000\"]
    actions:
      - { type: sse-find-replace, config: { replacements: [{ from: secret, to: '***' }] } }
";
    const STREAM: &[(&str, &str)] = &[("content-type", "text/event-stream; charset=utf-8")];

    #[derive(Debug, Default)]
    struct Warnings(Mutex<Vec<String>>);

    impl Log for Warnings {
        fn write(&self, _: &str, _: &str) {}

        fn warn(&self, _: &str, what: &str) {
            self.0.lock().unwrap().push(what.to_owned());
        }
    }

    /// What leaves of a response's body, and its header.
    async fn sent(
        text: &str,
        env: &Env,
        request: &[(&'static str, &'static str)],
        came: &[(&'static str, &'static str)],
        body: &[u8],
    ) -> Result<(Vec<u8>, HeaderMap), BodyFault> {
        let (request, came) = (lines(request), lines(came));
        let mut exchange = response(&request, &came);
        exchange.env = env;
        let policy = policy(text);
        assert!(policy.has_phase(Phase::OnHttpResponse));
        let verdict = policy.on_http_response(&mut exchange).await;
        assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
        let Some(response) = exchange.response else {
            panic!("the response is gone");
        };
        let (head, mut transforms) = (response.head, response.transforms);
        // The exchange is over now, and its messages begin.
        let lines = head.lines().clone();
        let mut sent = Vec::new();
        for piece in body.chunks(7) {
            let piece = Bytes::copy_from_slice(piece);
            sent.extend_from_slice(&crate::body::pass(&mut transforms, piece, false)?);
        }
        sent.extend_from_slice(&crate::body::pass(&mut transforms, Bytes::new(), true)?);
        Ok((sent, lines))
    }

    fn encoded(coding: Coding, text: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        let mut compress = Compress::new(coding).unwrap();
        compress.push(text, &mut out).unwrap();
        compress.end(&mut out).unwrap();
        out.to_vec()
    }

    #[tokio::test]
    async fn the_phase_runs_on_each_message_after_the_exchange() {
        let user = [("x-role", "user")];
        let body = b"data: a secret\n\n: secret\ndata: secret\ndata: two\n\n";
        let (out, _) = sent(REDACT, &ENV, &user, STREAM, body).await.unwrap();
        assert_eq!(out, b"data: a ***\n\n: secret\ndata: ***\ndata: two\n\n");
        let admin = [("x-role", "admin")];
        let (out, _) = sent(REDACT, &ENV, &admin, STREAM, body).await.unwrap();
        assert_eq!(out, body);
    }

    #[tokio::test]
    async fn only_an_event_stream_has_messages() {
        let came = [("content-type", "text/plain")];
        let body = b"data: a secret\n\n";
        let (out, _) = sent(REDACT, &ENV, &[("x-role", "user")], &came, body)
            .await
            .unwrap();
        assert_eq!(out, body);
    }

    #[tokio::test]
    async fn an_encoded_stream_is_decoded_and_may_be_compressed_again() {
        let text =
            format!("{REDACT}on_http_response:\n  - actions: [{{ type: compress-response }}]\n");
        let user = [("x-role", "user"), ("accept-encoding", "br")];
        let body = encoded(Coding::Gzip, b"data: a secret\n\n");
        let came = [STREAM[0], ("content-encoding", "gzip")];
        let (out, head) = sent(REDACT, &ENV, &user, &came, &body).await.unwrap();
        assert_eq!(out, b"data: a ***\n\n");
        assert!(!head.contains_key("content-encoding"));
        let (out, head) = sent(&text, &ENV, &user, &came, &body).await.unwrap();
        assert_eq!(head["content-encoding"], "br");
        let mut plain = BytesMut::new();
        Decode::new(Coding::Br, 100)
            .unwrap()
            .push(&out, &mut plain)
            .unwrap();
        assert_eq!(plain, "data: a ***\n\n");
    }

    #[tokio::test]
    async fn a_stream_that_cannot_be_read_is_refused_as_a_whole() {
        let none = HeaderMap::new();
        let came = lines(&[STREAM[0], ("content-encoding", "zstd")]);
        let mut exchange = response(&none, &came);
        let verdict = policy(REDACT).on_http_response(&mut exchange).await;
        let Verdict::Fault { fault, by } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(fault, Fault::Body(BodyFault::Encoding));
        assert_eq!(by.phase, PHASE);
    }

    #[tokio::test]
    async fn a_fault_ends_the_stream_and_is_told() {
        let log = Arc::new(Warnings::default());
        let env = ENV.clone().with_log(Arc::<Warnings>::clone(&log));
        let body = b"data: a secret\n\n";
        let out = sent(REDACT, &env, &[], STREAM, body).await;
        assert_eq!(out, Err(BodyFault::Undecided(2254)));
        assert_eq!(
            *log.0.lock().unwrap(),
            [
                "on_event_stream_message[0].expressions: expression 1: no such key: `x-role`; the event stream ends"
            ]
        );
    }

    #[tokio::test]
    async fn a_rule_in_shadow_mode_changes_no_message() {
        let tried = REDACT.replace("  - expressions", "  - mode: shadow\n    expressions");
        let body = b"data: a secret\n\n";
        let (out, _) = sent(&tried, &ENV, &[("x-role", "user")], STREAM, body)
            .await
            .unwrap();
        assert_eq!(out, body);
        let policy = policy(&tried);
        assert!(policy.upstream_edits().is_empty());
        let request = lines(&[("x-role", "user")]);
        let came = lines(STREAM);
        let mut message = Message {
            data: Some("a secret".to_owned()),
            ..Message::default()
        };
        let mut exchange = response(&request, &came);
        exchange.message = Some(&mut message);
        assert!(matches!(
            policy.on_event_stream_message(&mut exchange),
            Verdict::Continue
        ));
        let [record] = exchange.memory.shadow() else {
            panic!("{:?}", exchange.memory.shadow());
        };
        assert_eq!(
            record.decision,
            Some((0, "sse-find-replace", crate::trace::Outcome::Next))
        );
        assert_eq!(message.data.as_deref(), Some("a secret"));
    }

    #[test]
    fn the_service_is_asked_for_plain_streams() {
        let policy = policy(REDACT);
        let plain = HeaderEdit::Set {
            name: http::header::ACCEPT_ENCODING,
            value: "identity".parse().unwrap(),
        };
        assert_eq!(policy.upstream_edits(), [plain]);
    }
}
