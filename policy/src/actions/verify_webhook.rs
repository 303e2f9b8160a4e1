//! `verify-webhook`: lets a request in only if its provider, who shares a secret with us, has signed it.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IntoDeserializer, Visitor};

use crate::action::{Action, Config, Fault, Flow, Phase, Refusal, Unbuildable};
use crate::body::BODY_MAX;
use crate::env::Env;
use crate::exchange::{Exchange, Request};
use crate::expr::{Field, Value};
use crate::nearest::nearest;
use crate::secret::Secret;
use crate::taint::Taints;
use crate::webhook::{Hmac, Incoming, LATER, PROVIDERS, Provider, Unverified, provider};

/// The number of a refusal, and of the error among the results.
const NOT_VERIFIED: u16 = 3204;

/// Config of `verify-webhook`.
///
/// The request is verified as it came: the URL before any rewrite, and a body of up to 10 MiB, which then passes on byte
/// for byte. So let this action stand before those that change header or body. What some providers ask before they send
/// anything is answered here and never reaches the service.
///
#[doc = include_str!("../webhook/providers.md")]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    /// Who signs: an id of the table, or `hmac`.
    provider: Option<Who>,
    /// What the provider shares with us, as it shows it; may hold `${…}`. For `sendgrid`: its public key.
    #[serde(default, deserialize_with = "text")]
    secret: Option<Field<Secret>>,
    /// Whether a request that is not verified is refused. Default: true. If false, only `actions.ngrok.verify_webhook` is
    /// set.
    #[serde(default = "yes")]
    enforce: bool,
    /// How requests are signed, for the provider `hmac` (an addition of Adit).
    hmac: Option<Hmac>,
}

/// The settings, checked against each other.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Said")]
pub(super) struct VerifyWebhook {
    signer: Signer,
    secret: Field<Secret>,
    enforce: bool,
}

#[derive(Debug)]
enum Signer {
    Known(&'static dyn Provider),
    Described(Hmac),
}

impl Config for VerifyWebhook {
    const TYPE: &'static str = "verify-webhook";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some("verify_webhook");
    type Action = Self;

    fn reads_request_body(&self) -> bool {
        true
    }

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

#[async_trait]
impl Action for VerifyWebhook {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        if exchange.request()?.has_body {
            return Ok(Flow::Wait);
        }
        self.decide(exchange, &Bytes::new())
    }

    async fn wait(&self, _: Phase, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let body = exchange.request_mut()?.body(BODY_MAX).await?;
        self.decide(exchange, &body)
    }
}

// === impl VerifyWebhook ===

impl VerifyWebhook {
    fn decide(&self, exchange: &mut Exchange<'_>, body: &[u8]) -> Result<Flow, Fault> {
        let secret = self.secret.get("secret", exchange)?;
        let request = exchange.request()?;
        let url = called(request);
        let incoming = Incoming {
            method: request.method,
            url: &url,
            headers: request.head.lines(),
            body,
            now: exchange.env.clock().now(),
        };
        if let Some(reply) = self.signer.get().challenge(secret.expose(), &incoming) {
            return Ok(Flow::Answer(reply));
        }
        let verified = self.signer.get().verify(secret.expose(), &incoming);
        if exchange.memory.wants_results() {
            // Whether the secret fits, and nothing that it says.
            let memory = &mut exchange.memory;
            memory.set_marked_result("verify_webhook", result(&verified), Taints::default());
        }
        if verified.is_ok() || !self.enforce {
            return Ok(Flow::Next);
        }
        let message = "the webhook could not be verified";
        let refusal = Refusal::new(StatusCode::FORBIDDEN, NOT_VERIFIED, message);
        Ok(Flow::Refuse(refusal))
    }
}

impl TryFrom<Said> for VerifyWebhook {
    type Error = String;

    fn try_from(said: Said) -> Result<Self, String> {
        let signer = match (said.provider, said.hmac) {
            (None, _) => return Err("`provider` is missing: say who signs (ERR_ADIT_363)".into()),
            (Some(Who::Known(provider)), None) => Signer::Known(provider),
            (Some(Who::Described), Some(hmac)) => Signer::Described(hmac),
            (Some(Who::Described), None) => {
                return Err("provider `hmac` needs `hmac`, which says how requests are signed (ERR_ADIT_2240)".into());
            }
            (Some(Who::Known(_)), Some(_)) => {
                return Err(
                    "`hmac` is for `provider: hmac` only; remove one of them (ERR_ADIT_2240)"
                        .into(),
                );
            }
        };
        let secret = said
            .secret
            .ok_or("this provider needs a `secret` (ERR_ADIT_7027)")?;
        if let Some(secret) = secret.fixed() {
            let accepted = signer.get().accepts(secret.expose());
            accepted.map_err(|error| format!("{error} (ERR_ADIT_7026)"))?;
        }
        let enforce = said.enforce;
        Ok(Self {
            signer,
            secret,
            enforce,
        })
    }
}

/// The URL as the provider called it: in its own spelling, since some sign it.
fn called(request: &Request<'_>) -> String {
    let (authority, target) = (request.authority, request.target.raw());
    format!("{}://{authority}{target}", request.scheme)
}

fn result(verified: &Result<(), Unverified>) -> Value<'static> {
    let (code, message) = match verified {
        Ok(()) => (String::new(), String::new()),
        Err(error) => (format!("ERR_ADIT_{NOT_VERIFIED}"), error.to_string()),
    };
    let error = Value::map([
        ("code", Value::text(code)),
        ("message", Value::text(message)),
    ]);
    Value::map([("verified", verified.is_ok().into()), ("error", error)])
}

/// As text, so that a secret of digits keeps every digit.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Field<Secret>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Field::deserialize(text.into_deserializer()).map(Some)
}

fn yes() -> bool {
    true
}

// === impl Signer ===

impl Signer {
    fn get(&self) -> &dyn Provider {
        match self {
            Self::Known(provider) => *provider,
            Self::Described(hmac) => hmac,
        }
    }
}

/// What may stand behind `provider:`.
#[derive(Debug)]
enum Who {
    Known(&'static dyn Provider),
    Described,
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WhoVisitor)
    }
}

struct WhoVisitor;

impl Visitor<'_> for WhoVisitor {
    type Value = Who;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the id of a provider")
    }

    fn visit_str<E: Error>(self, id: &str) -> Result<Who, E> {
        if id == "hmac" {
            return Ok(Who::Described);
        }
        provider(id)
            .map(Who::Known)
            .ok_or_else(|| E::custom(unknown(id)))
    }
}

fn unknown(id: &str) -> String {
    if LATER.contains(&id) {
        return format!("webhooks of `{id}` cannot be verified in this version (ERR_ADIT_364)");
    }
    let ids = PROVIDERS.iter().map(|(id, _)| *id).chain(["hmac"]);
    match nearest(id, ids) {
        Some(near) => format!("unknown provider `{id}`; did you mean `{near}`? (ERR_ADIT_364)"),
        None => format!(
            "unknown provider `{id}`; with `hmac` its way to sign can be described (ERR_ADIT_364)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;
    use crate::body::{BodyFault, BodySource};
    use crate::memory::Memory;
    use crate::testing::{get, lines, one, policy, refused};
    use crate::verdict::Verdict;

    /// GitHub's own example; see `webhook/vectors.yaml`.
    const GITHUB: &str = "{provider: github, secret: It's a Secret to Everybody}";
    const SIGNATURE: &str =
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[derive(Debug)]
    struct Lent(&'static [u8]);

    #[async_trait]
    impl BodySource for Lent {
        async fn read(&mut self, max: usize) -> Result<Bytes, BodyFault> {
            if self.0.len() > max {
                return Err(BodyFault::TooLarge);
            }
            Ok(Bytes::from_static(self.0))
        }
    }

    /// What a policy says to a POST of this body, and the results that it leaves.
    async fn post(
        config: &str,
        target: &str,
        lines: &HeaderMap,
        body: &'static [u8],
    ) -> (Verdict, Memory) {
        let policy = policy(&one("on_http_request", "verify-webhook", config));
        assert!(policy.reads_request_body("/"));
        let mut lent = Lent(body);
        let mut exchange = get(target, lines);
        exchange.memory = Memory::traced();
        let request = exchange.request.as_mut().unwrap();
        request.method = &Method::POST;
        request.has_body = true;
        request.body = Some(&mut lent);
        let verdict = policy.on_http_request(&mut exchange).await;
        assert!(exchange.request().unwrap().new_body().is_none());
        (verdict, exchange.memory)
    }

    fn left(memory: &Memory) -> String {
        let (name, value) = memory.results().next().unwrap();
        assert_eq!(name, "verify_webhook");
        value.to_text().into_owned()
    }

    #[tokio::test]
    async fn a_signed_request_passes() {
        let lines = lines(&[("x-hub-signature-256", SIGNATURE)]);
        let (verdict, memory) = post(GITHUB, "/", &lines, b"Hello, World!").await;
        assert!(matches!(verdict, Verdict::Continue));
        assert_eq!(
            left(&memory),
            r#"{"error":{"code":"","message":""},"verified":true}"#
        );
    }

    #[tokio::test]
    async fn a_request_that_is_not_signed_is_refused_unless_only_looked_at() {
        let headers = lines(&[("x-hub-signature-256", SIGNATURE)]);
        for (headers, reason) in [
            (&headers, "the signature differs"),
            (&HeaderMap::new(), "header `x-hub-signature-256` is missing"),
        ] {
            let (verdict, memory) = post(GITHUB, "/", headers, b"Hello, World?").await;
            let Verdict::Refuse { refusal, .. } = verdict else {
                panic!("{verdict:?}");
            };
            assert_eq!((refusal.status.as_u16(), refusal.code), (403, 3204));
            let result = format!(
                r#"{{"error":{{"code":"ERR_ADIT_3204","message":"{reason}"}},"verified":false}}"#
            );
            assert_eq!(left(&memory), result);

            let lenient = GITHUB.replace('}', ", enforce: false}");
            let (verdict, memory) = post(&lenient, "/", headers, b"Hello, World?").await;
            assert!(matches!(verdict, Verdict::Continue));
            assert_eq!(left(&memory), result);
        }
    }

    #[tokio::test]
    async fn the_url_is_verified_as_it_was_called_and_the_clock_is_lent() {
        // Made with Python's `hmac`.
        let lines = lines(&[
            (
                "x-signature",
                "885d06cc6ed3689807aad43a740d80322c421820032d3df383adfeb376794272",
            ),
            ("x-time", "1700000000"),
        ]);
        let config = "{provider: hmac, secret: Jefe, hmac: {header: x-signature, timestamp_header: x-time, signed: '{timestamp} {method} {url} {body}'}}";
        let (verdict, _) = post(config, "/a/../%62?c=%64", &lines, b"hello").await;
        assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
        let (verdict, _) = post(config, "/b?c=d", &lines, b"hello").await;
        assert!(matches!(verdict, Verdict::Refuse { .. }), "{verdict:?}");
    }

    #[tokio::test]
    async fn a_secret_that_turns_out_empty_verifies_nothing() {
        let headers = lines(&[
            ("x-hub-signature-256", SIGNATURE),
            ("x-secret", "It's a Secret to Everybody"),
        ]);
        let config = "{provider: github, secret: \"${req.headers['x-secret'][0]}\"}";
        let (verdict, _) = post(config, "/", &headers, b"Hello, World!").await;
        assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
        let mut without = headers.clone();
        without.insert("x-secret", "".parse().unwrap());
        let (verdict, memory) = post(config, "/", &without, b"Hello, World!").await;
        assert!(matches!(verdict, Verdict::Refuse { .. }), "{verdict:?}");
        assert!(left(&memory).contains("the secret is empty"));
    }

    #[tokio::test]
    async fn a_secret_of_digits_keeps_every_digit() {
        let lines = lines(&[("x-gitlab-token", "00123456789012345678901234567890")]);
        let config = "{provider: gitlab, secret: 00123456789012345678901234567890}";
        let (verdict, _) = post(config, "/", &lines, b"{}").await;
        assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
    }

    #[tokio::test]
    async fn a_challenge_is_answered_here() {
        let policy = policy(&one(
            "on_http_request",
            "verify-webhook",
            "{provider: twitter, secret: a}",
        ));
        let lines = HeaderMap::new();
        let verdict = policy
            .on_http_request(&mut get("/hooks?crc_token=b", &lines))
            .await;
        let Verdict::Answer { reply, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert!(reply.body().starts_with(b"{\"response_token\":\"sha256="));
        let verdict = policy.on_http_request(&mut get("/hooks", &lines)).await;
        assert!(matches!(verdict, Verdict::Refuse { .. }), "{verdict:?}");
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_never_verified() {
        static LARGE: [u8; BODY_MAX + 1] = [b'x'; BODY_MAX + 1];
        let lenient = GITHUB.replace('}', ", enforce: false}");
        for config in [GITHUB, &lenient] {
            let (verdict, _) = post(config, "/", &HeaderMap::new(), &LARGE).await;
            let Verdict::Fault { fault, .. } = verdict else {
                panic!("{verdict:?}");
            };
            assert_eq!(fault.code(), 3903);
            assert_eq!(fault.status(Phase::OnHttpRequest), 413);
        }
    }

    #[test]
    fn a_wrong_config_is_refused_at_its_place() {
        for (config, place, message) in [
            (
                "{secret: a}",
                "4:17",
                "`provider` is missing: say who signs (ERR_ADIT_363)",
            ),
            (
                "{provider: gihtub, secret: a}",
                "4:28",
                "unknown provider `gihtub`; did you mean `github`? (ERR_ADIT_364)",
            ),
            (
                "{provider: acme, secret: a}",
                "4:28",
                "unknown provider `acme`; with `hmac` its way to sign can be described (ERR_ADIT_364)",
            ),
            (
                "{provider: sns}",
                "4:28",
                "webhooks of `sns` cannot be verified in this version (ERR_ADIT_364)",
            ),
            (
                "{provider: github}",
                "4:17",
                "this provider needs a `secret` (ERR_ADIT_7027)",
            ),
            (
                "{provider: github, secret: ''}",
                "4:17",
                "the secret is empty (ERR_ADIT_7026)",
            ),
            (
                "{provider: svix, secret: whsec_}",
                "4:17",
                "the secret is empty (ERR_ADIT_7026)",
            ),
            (
                "{provider: svix, secret: '?'}",
                "4:17",
                "the secret is not base64; paste it as the provider shows it (ERR_ADIT_7026)",
            ),
            (
                "{provider: hmac, secret: a}",
                "4:17",
                "provider `hmac` needs `hmac`, which says how requests are signed (ERR_ADIT_2240)",
            ),
            (
                "{provider: github, secret: a, hmac: {header: b}}",
                "4:17",
                "`hmac` is for `provider: hmac` only; remove one of them (ERR_ADIT_2240)",
            ),
            (
                "{provider: hmac, secret: a, hmac: {header: b, tolerance: 1m}}",
                "4:51",
                "`tolerance` needs a `timestamp_header` (ERR_ADIT_2240)",
            ),
            (
                "{provider: github, secret: a, mode: x}",
                "4:47",
                "unknown field `mode`",
            ),
        ] {
            let text = refused(&one("on_http_request", "verify-webhook", config));
            assert!(
                text.contains(&format!("policy.yaml:{place}: ")) && text.contains(message),
                "{text}"
            );
        }
    }

    #[test]
    fn no_mistake_quotes_the_secret() {
        for config in [
            "{provider: gihtub, secret: hunter2}",
            "{secret: hunter2, provider: svix}",
            "{secret: 'hunter2${', provider: github}",
            "\n          secret: hunter2\n          provider: [x]",
            "{secret: [hunter2], provider: github}",
        ] {
            let text = refused(&one("on_http_request", "verify-webhook", config));
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn no_secret_shows_in_a_policy_that_is_printed() {
        let policy = policy(&one("on_http_request", "verify-webhook", GITHUB));
        let text = format!("{policy:?}");
        assert!(
            !text.contains("Everybody") && text.contains("***"),
            "{text}"
        );
    }
}
