//! `request-body-find-replace`: changes the text of the request's body before it goes to the service.

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use serde::Deserialize;

use super::digests::remove_digests;
use super::replacements::{BodyRules, InBody, entries, results};
use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::body::BODY_MAX;
use crate::body::decode::decode;
use crate::env::Env;
use crate::exchange::{Exchange, Request};
use crate::expr::Value;

/// Config of `request-body-find-replace`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestBodyFindReplace {
    /// What is found and what takes its place, in order: each on what the one before has left. The whole body is held,
    /// up to 10 MiB; a larger one is refused with 413. A body in gzip, deflate or br is decoded, and goes on plain if
    /// anything in it changed; in another coding it is refused.
    #[serde(deserialize_with = "entries")]
    replacements: Vec<InBody>,
}

#[derive(Debug)]
pub(super) struct Replace(BodyRules);

impl Config for RequestBodyFindReplace {
    const TYPE: &'static str = "request-body-find-replace";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some("request_body_find_replace");
    type Action = Replace;

    fn reads_request_body(&self) -> bool {
        true
    }

    fn build(self, _: &Env) -> Result<Replace, Unbuildable> {
        Ok(Replace(BodyRules::new(self.replacements)))
    }
}

#[async_trait]
impl Action for Replace {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let request = exchange.request()?;
        if request.has_body || request.new_body().is_some() {
            return Ok(Flow::Wait);
        }
        leave_results(exchange, || results([]));
        Ok(Flow::Next)
    }

    async fn wait(&self, _: Phase, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let rules = self.0.get(exchange)?;
        let request = exchange.request_mut()?;
        let body = request.body(BODY_MAX).await?;
        let plain = decode(request.head.lines(), body, BODY_MAX)?;
        let replaced = rules.apply(&plain)?;
        if !replaced.found.is_empty() {
            put(replaced.text.into_owned().into(), request)?;
            let taint = exchange.memory.action_taint();
            if taint.is_secret() {
                exchange
                    .memory
                    .mark_parts(|parts| parts.request_body = taint);
            }
        }
        leave_results(exchange, || results(&replaced.found));
        Ok(Flow::Next)
    }
}

/// Puts another body in the place of the one that came; its header tells of the new one.
fn put(body: Bytes, request: &mut Request<'_>) -> Result<(), Fault> {
    request.head.remove(CONTENT_ENCODING)?;
    remove_digests(&mut request.head)?;
    if request.head.lines().contains_key(CONTENT_LENGTH) {
        request.head.set(CONTENT_LENGTH, body.len().into())?;
    }
    request.replace_body(body);
    Ok(())
}

fn leave_results(exchange: &mut Exchange<'_>, results: impl FnOnce() -> Value<'static>) {
    if exchange.memory.wants_results() {
        exchange
            .memory
            .set_result("request_body_find_replace", results());
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::body::coding::Coding;
    use crate::body::compress::Compress;
    use crate::body::{BodyFault, BodySource, Transform};
    use crate::testing::{lines, one, policy, refused, request};
    use crate::verdict::Verdict;

    const ON: &str = "on_http_request";

    #[derive(Debug)]
    struct Lent(Bytes);

    #[async_trait]
    impl BodySource for Lent {
        async fn read(&mut self, max: usize) -> Result<Bytes, BodyFault> {
            match self.0.len() > max {
                true => Err(BodyFault::TooLarge),
                false => Ok(self.0.clone()),
            }
        }
    }

    fn encoded(coding: Coding, text: &str) -> Bytes {
        let mut out = BytesMut::new();
        let mut compress = Compress::new(coding).unwrap();
        compress.push(text.as_bytes(), &mut out).unwrap();
        compress.end(&mut out).unwrap();
        out.freeze()
    }

    /// The new body and header that a policy makes of a request; the fault's number if there is one.
    async fn run(
        config: &str,
        came: &[(&'static str, &'static str)],
        body: impl Into<Bytes>,
    ) -> Result<(Option<Bytes>, http::HeaderMap), u16> {
        let then = "      - type: add-headers
        config: {headers: {x-length: '${req.content_length}', x-found: '=${actions.ngrok.request_body_find_replace.replacements}'}}\n";
        let policy = policy(&(one(ON, "request-body-find-replace", config) + then));
        assert!(policy.reads_request_body("/"));
        let came = lines(came);
        let mut exchange = request(&came);
        let mut source = Lent(body.into());
        let request = exchange.request_mut().unwrap();
        request.has_body = true;
        request.body = Some(&mut source);
        match policy.on_http_request(&mut exchange).await {
            Verdict::Continue => {}
            Verdict::Fault { fault, .. } => return Err(fault.code()),
            other => panic!("{other:?}"),
        }
        let request = exchange.request().unwrap();
        Ok((request.new_body().cloned(), request.head.lines().clone()))
    }

    #[tokio::test]
    async fn each_replacement_works_on_what_the_one_before_has_left() {
        let config = "{replacements: [{from: 'secret', to: 'sekret'}, {from: 's(e)kret', to: '$1'}, {from: 'z'}, {from: ' '}]}";
        let came = [("content-length", "16"), ("digest", "x")];
        let (body, head) = run(config, &came, "a secret: secret").await.unwrap();
        assert_eq!(body.unwrap(), "ae:e");
        assert_eq!(
            (&head["content-length"], &head["x-length"]),
            (&"4".parse().unwrap(), &"4".parse().unwrap())
        );
        assert!(!head.contains_key("digest"));
        assert_eq!(
            head["x-found"],
            r#"=[{"matched_content":"secret","replacement_index":0},{"matched_content":"sekret","replacement_index":1},{"matched_content":" ","replacement_index":3}]"#
        );
    }

    #[tokio::test]
    async fn an_encoded_body_is_changed_in_plain() {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Br] {
            let came = [("content-encoding", coding.name())];
            let body = encoded(coding, "a secret");
            let config = "{replacements: [{from: secret, to: '***'}]}";
            let (changed, head) = run(config, &came, body.clone()).await.unwrap();
            assert_eq!(changed.unwrap(), "a ***");
            assert!(!head.contains_key("content-encoding") && !head.contains_key("content-length"));
            let (same, head) = run("{replacements: [{from: x}]}", &came, body)
                .await
                .unwrap();
            assert_eq!(
                (same, head["content-encoding"].to_str().unwrap()),
                (None, coding.name())
            );
            assert_eq!(head["x-found"], "=[]");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_looked_at_is_refused() {
        let config = "{replacements: [{from: a}]}";
        let with = |coding| run(config, coding, "a");
        assert_eq!(with(&[("content-encoding", "compress")]).await, Err(3904));
        assert_eq!(with(&[("content-encoding", "gzip")]).await, Err(3904));
        assert_eq!(run(config, &[], vec![b'a'; BODY_MAX + 1]).await, Err(3903));
        let grown = format!(
            "{{replacements: [{{from: '', to: '{}'}}]}}",
            "x".repeat(1 << 10)
        );
        assert_eq!(run(&grown, &[], vec![b'a'; BODY_MAX >> 9]).await, Err(3903));
        let computed = "{replacements: [{from: \"(${req.method}\"}]}";
        assert_eq!(run(computed, &[], "a").await, Err(3901));
        let missing = "{replacements: [{from: \"${req.headers['x-a'][0]}\"}]}";
        assert_eq!(run(missing, &[], "a").await, Err(3900));
    }

    #[tokio::test]
    async fn a_request_without_a_body_stays_without() {
        let policy = policy(&one(
            ON,
            "request-body-find-replace",
            "{replacements: [{from: '^', to: a}]}",
        ));
        let none = lines(&[]);
        let mut exchange = request(&none);
        assert!(matches!(
            policy.on_http_request(&mut exchange).await,
            Verdict::Continue
        ));
        assert_eq!(exchange.request().unwrap().new_body(), None);
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_stay_what_they_are() {
        let body = Bytes::from_static(b"\xff\xfea\xc3\xbc\xff");
        let config = "{replacements: [{from: 'ü', to: 'ue'}]}";
        let (changed, _) = run(config, &[], body).await.unwrap();
        assert_eq!(changed.unwrap(), &b"\xff\xfeaue\xff"[..]);
    }

    #[test]
    fn a_text_that_is_too_long_is_refused() {
        let with = |from: &str, to: &str| {
            one(
                ON,
                "request-body-find-replace",
                &format!("{{replacements: [{{from: '{from}', to: '{to}'}}]}}"),
            )
        };
        let long = "a".repeat((64 << 10) + 1);
        assert!(
            refused(&with(&long, "")).contains("`from` is longer than 65536 bytes (ERR_ADIT_2221)")
        );
        assert!(
            refused(&with("", &long)).contains("`to` is longer than 65536 bytes (ERR_ADIT_2221)")
        );
        let many = "{from: a}, ".repeat(101);
        let many = format!("{{replacements: [{many}]}}");
        assert!(
            refused(&one(ON, "request-body-find-replace", &many))
                .contains("more than 100 items in `replacements` (ERR_ADIT_2218)")
        );
    }
}
