//! `compress-response`: compresses the response's body on its way to a client that accepts it.

use std::fmt;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderName, HeaderValue, VARY};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use super::digests::remove_digests;
use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::body::coding::Coding;
use crate::body::compress::Compress;
use crate::body::negotiation::{Negotiation, is_compressible, is_encoded};
use crate::env::Env;
use crate::exchange::{Exchange, Head};
use crate::expr::Value;

/// Config of `compress-response`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CompressResponse {
    /// Which codings are offered: `gzip`, `deflate` (in zlib's frame), `br`, `zstd` and `compress`, each at most once. The
    /// client's weights in `accept-encoding` decide; of codings that it likes as much, the one that stands first here is
    /// taken. `compress` is accepted for older policies and never taken. Default: `[gzip, deflate, br, zstd, compress]`:
    /// `zstd` stands behind what older policies offer, so that their clients get what they always got.
    #[serde(default)]
    algorithms: Algorithms,
}

impl Config for CompressResponse {
    const TYPE: &'static str = "compress-response";
    const PHASES: &'static [Phase] = &[Phase::OnHttpResponse];
    const RESULTS: Option<&'static str> = Some("compress");
    type Action = Self;

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for CompressResponse {
    fn on_http_response(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let request = exchange.request()?;
        let response = exchange.response()?;
        let lines = response.head.lines();
        let encoded = is_encoded(lines);
        let coding = match is_compressible(request.method, response.status, lines) {
            true => Negotiation::of(request.head.lines()).choose(&self.algorithms.0),
            false => None,
        };
        if exchange.memory.wants_results() {
            let name = Value::text(coding.map_or("", Coding::name));
            let result = [
                ("already_compressed", encoded.into()),
                ("negotiated_algorithm", name),
            ];
            exchange.memory.set_result("compress", Value::map(result));
        }
        if let Some(coding) = coding {
            let response = exchange.response_mut()?;
            announce(coding, &mut response.head)?;
            response.transforms.push(Box::new(Compress::new(coding)?));
        }
        Ok(Flow::Next)
    }
}

/// Changes what the header says of a body that is about to be compressed.
fn announce(coding: Coding, head: &mut Head<'_>) -> Result<(), Fault> {
    head.set(CONTENT_ENCODING, HeaderValue::from_static(coding.name()))?;
    if !varies(head) {
        head.append(VARY, HeaderValue::from_static("accept-encoding"))?;
    }
    head.remove(CONTENT_LENGTH)?;
    remove_digests(head)?;
    // Another spelling of the same content: it is as good as the first, and not byte for byte the same (RFC 9110 §8.8.1).
    let weak = head.lines().get(ETAG).and_then(|tag| weak(tag.as_bytes()));
    weak.map_or(Ok(()), |tag| head.set(ETAG, tag))
}

/// Whether caches already know that the response depends on `accept-encoding`.
fn varies(head: &Head<'_>) -> bool {
    let name: &HeaderName = &http::header::ACCEPT_ENCODING;
    let lines = head.lines().get_all(VARY).iter();
    let mut names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    names.any(|said| {
        let said = said.trim_ascii();
        said == b"*" || said.eq_ignore_ascii_case(name.as_str().as_bytes())
    })
}

/// The weak form of an entity tag; `None` if it is weak already.
fn weak(tag: &[u8]) -> Option<HeaderValue> {
    if tag.starts_with(b"W/") {
        return None;
    }
    HeaderValue::from_bytes(&[b"W/", tag].concat()).ok()
}

/// Codings in the order of preference.
#[derive(Debug)]
struct Algorithms(Vec<Coding>);

impl Default for Algorithms {
    fn default() -> Self {
        Self(vec![
            Coding::Gzip,
            Coding::Deflate,
            Coding::Br,
            Coding::Zstd,
        ])
    }
}

impl<'de> Deserialize<'de> for Algorithms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(AlgorithmsVisitor)
    }
}

struct AlgorithmsVisitor;

impl<'de> Visitor<'de> for AlgorithmsVisitor {
    type Value = Algorithms;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of codings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Algorithms, A::Error> {
        let mut said = Vec::new();
        while let Some(name) = list.next_element_seed(NextName { before: &said })? {
            said.push(name);
        }
        if said.is_empty() {
            return Err(A::Error::custom(
                "`algorithms` needs at least one coding (ERR_ADIT_2223)",
            ));
        }
        let codings = said
            .iter()
            .filter_map(|name| Coding::named(name.as_bytes()));
        Ok(Algorithms(codings.collect()))
    }
}

/// The name of a coding that was not said before.
struct NextName<'a> {
    before: &'a [&'static str],
}

impl<'de> DeserializeSeed<'de> for NextName<'_> {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NextName<'_> {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a coding")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<&'static str, E> {
        const NAMES: &[&str] = &["gzip", "deflate", "br", "zstd", "compress"];
        let Some(name) = NAMES.iter().find(|name| **name == text) else {
            return Err(E::custom(format_args!(
                "unknown coding `{text}`, expected one of `{}` (ERR_ADIT_2214)",
                NAMES.join("`, `")
            )));
        };
        match self.before.contains(name) {
            true => Err(E::custom(format_args!(
                "`{name}` stands twice in `algorithms` (ERR_ADIT_2231)"
            ))),
            false => Ok(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use http::{HeaderMap, Method, StatusCode};

    use crate::exchange::Exchange;
    use crate::testing::{lines, one, policy, refused, response};
    use crate::verdict::Verdict;

    const ON: &str = "on_http_response";

    /// Runs `compress-response` and gives the edited header, the body `hello` as it leaves, and the results.
    async fn run(config: &str, exchange: &mut Exchange<'_>) -> (HeaderMap, Vec<u8>, String) {
        let then = "      - type: add-headers
        config: {headers: {x-result: '${actions.ngrok.compress.already_compressed} ${actions.ngrok.compress_response.negotiated_algorithm}'}}\n";
        let policy = policy(&(one(ON, "compress-response", config) + then));
        let verdict = policy.on_http_response(exchange).await;
        assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
        let response = exchange.response.as_mut().unwrap();
        let mut body = b"hello".to_vec();
        for transform in &mut response.transforms {
            let mut out = BytesMut::new();
            transform.push(&body, &mut out).unwrap();
            transform.end(&mut out).unwrap();
            body = out.to_vec();
        }
        let result = response.head.lines()["x-result"].to_str().unwrap();
        (response.head.lines().clone(), body, result.to_owned())
    }

    #[tokio::test]
    async fn compresses_and_says_so() {
        let accepts = lines(&[("accept-encoding", "br;q=0.5, gzip")]);
        let came = lines(&[
            ("content-length", "5"),
            ("etag", "\"1\""),
            ("vary", "origin"),
            ("content-digest", "sha-256=:x:"),
        ]);
        let (head, body, result) = run("{}", &mut response(&accepts, &came)).await;
        assert_eq!(head["content-encoding"], "gzip");
        assert_eq!(head["etag"], "W/\"1\"");
        let vary: Vec<_> = head.get_all("vary").iter().collect();
        assert_eq!(vary, ["origin", "accept-encoding"]);
        assert!(!head.contains_key("content-length") && !head.contains_key("content-digest"));
        assert!(body.starts_with(&[0x1f, 0x8b]), "gzip's mark");
        assert_eq!(result, "false gzip");
    }

    #[tokio::test]
    async fn of_what_a_client_likes_as_much_the_first_in_the_config_is_taken() {
        let none = HeaderMap::new();
        let browser = lines(&[("accept-encoding", "gzip, deflate, br, zstd")]);
        for (config, taken) in [
            ("{}", "gzip"),
            ("{algorithms: [br, gzip]}", "br"),
            ("{algorithms: [compress, zstd]}", "zstd"),
            ("{algorithms: [deflate]}", "deflate"),
        ] {
            let (head, ..) = run(config, &mut response(&browser, &none)).await;
            assert_eq!(head["content-encoding"], taken, "{config}");
        }
        let only_zstd = lines(&[("accept-encoding", "zstd")]);
        let (_, body, _) = run("{}", &mut response(&only_zstd, &none)).await;
        assert!(body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]), "zstd's mark");
    }

    #[tokio::test]
    async fn what_caches_know_is_not_told_again() {
        let accepts = lines(&[("accept-encoding", "gzip")]);
        for vary in ["Accept-Encoding", "origin, accept-encoding", "*"] {
            let came = lines(&[("vary", vary), ("etag", "W/\"1\"")]);
            let (head, ..) = run("{}", &mut response(&accepts, &came)).await;
            assert_eq!(head.get_all("vary").iter().count(), 1, "{vary}");
            assert_eq!(head["etag"], "W/\"1\"");
        }
    }

    #[tokio::test]
    async fn leaves_alone_what_must_stay_as_it_is() {
        let accepts = lines(&[("accept-encoding", "gzip")]);
        for (name, value, result) in [
            ("content-encoding", "br", "true "),
            ("content-range", "bytes 0-4/10", "false "),
            ("cache-control", "private, no-transform", "false "),
            ("content-length", "0", "false "),
        ] {
            let came = lines(&[(name, value)]);
            let (head, body, said) = run("{}", &mut response(&accepts, &came)).await;
            assert_eq!(
                (head[name].as_bytes(), &body[..]),
                (value.as_bytes(), &b"hello"[..])
            );
            assert!(!head.contains_key("vary"), "{name}");
            assert_eq!(said, result, "{name}");
        }
        let none = HeaderMap::new();
        for status in [101, 204, 205, 206, 304] {
            let mut exchange = response(&accepts, &none);
            exchange.response_mut().unwrap().status = StatusCode::from_u16(status).unwrap();
            assert_eq!(run("{}", &mut exchange).await.1, b"hello", "{status}");
        }
        let mut head_request = response(&accepts, &none);
        head_request.request_mut().unwrap().method = &Method::HEAD;
        assert_eq!(run("{}", &mut head_request).await.1, b"hello");
        let (_, body, _) = run("{algorithms: [compress]}", &mut response(&accepts, &none)).await;
        assert_eq!(body, b"hello", "nothing in common");
    }

    #[test]
    fn a_wrong_list_is_refused_at_its_item() {
        let refused = |list: &str| {
            refused(&one(
                ON,
                "compress-response",
                &format!("{{algorithms: {list}}}"),
            ))
        };
        for (list, column, said) in [
            (
                "[gzip, lzma]",
                37,
                "algorithms[1]: unknown coding `lzma`, expected one of `gzip`, `deflate`, `br`, `zstd`, `compress` (ERR_ADIT_2214)",
            ),
            (
                "[br, br]",
                35,
                "algorithms[1]: `br` stands twice in `algorithms` (ERR_ADIT_2231)",
            ),
            (
                "[]",
                30,
                "algorithms: `algorithms` needs at least one coding (ERR_ADIT_2223)",
            ),
            (
                "gzip",
                30,
                "algorithms: invalid type: string \"gzip\", expected a list of codings",
            ),
        ] {
            let message = refused(list);
            assert!(message.contains(said), "{message}");
            assert!(
                message.starts_with(&format!("policy.yaml:4:{column}:")),
                "{message}"
            );
        }
    }
}
