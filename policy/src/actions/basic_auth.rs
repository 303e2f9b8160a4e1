//! `basic-auth`: lets in who sends a user name and a password of the list (RFC 7617).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use subtle::Choice;

use super::credential::{Credential, Hash};
use super::enforce::Enforce;
use super::list::Bounds;
use crate::action::{Action, Config, Fault, Flow, Phase, Refusal, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::Value;
use crate::taint::Taints;

/// Most credentials; one more is refused.
const CREDENTIALS_MAX: usize = 100;
/// Longest realm in bytes.
const REALM_MAX: usize = 128;

/// Config of `basic-auth`.
///
/// Who sends none, a wrong one, or more than one line of it, gets 401. The `authorization` header goes on to the service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BasicAuth {
    /// Who gets in: `user:password`, 1 to 100 times; may hold `${…}`. The first colon separates; a user has 1 to 128 bytes,
    /// a password 8 to 128 characters. If `${…}` is not the whole text, the colon stands outside of it.
    #[serde(deserialize_with = "credentials")]
    credentials: Vec<Credential>,
    /// What the client's user is told to sign in to: up to 128 ASCII characters without `"` and `\`. Default: `adit`.
    #[serde(default)]
    realm: Realm,
    /// Whether others are kept out. Default: true. If false, only `actions.ngrok.basic_auth` is set.
    #[serde(default)]
    enforce: Enforce,
}

impl Config for BasicAuth {
    const TYPE: &'static str = "basic-auth";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some("basic_auth");
    type Action = Self;

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for BasicAuth {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let lines = exchange.request()?.head.lines();
        let is_presented = is_presented(lines);
        let presented = presented(lines);
        let is_authorized = match &presented {
            Some(presented) => self.accepts(presented, exchange)?,
            None => false,
        };
        if exchange.memory.wants_results() {
            let user = presented.as_deref().map(user).unwrap_or_default();
            let credentials = Value::map([
                ("presented", Value::Bool(is_presented)),
                ("username", Value::text(user)),
                ("authorized", Value::Bool(is_authorized)),
            ]);
            let left = Value::map([("credentials", credentials)]);
            // What the client sent, and whether it was right: nothing that a secret says.
            let memory = &mut exchange.memory;
            memory.set_marked_result("basic_auth", left, Taints::default());
        }
        if is_authorized {
            return Ok(Flow::Next);
        }
        Ok(self.enforce.refuse(|| {
            let message = "a user name and a password are needed here";
            Refusal::new(StatusCode::UNAUTHORIZED, 50011, message)
                .with(WWW_AUTHENTICATE, self.realm.challenge.clone())
        }))
    }
}

impl BasicAuth {
    /// Whether one of the credentials is the presented one. All are compared, so that the time tells nothing.
    fn accepts(&self, presented: &[u8], exchange: &Exchange<'_>) -> Result<bool, Fault> {
        let presented = Hash::of(presented);
        let mut found = Choice::from(0);
        for (index, credential) in self.credentials.iter().enumerate() {
            match credential.get(exchange)? {
                Ok(known) => found |= known.is(&presented),
                Err(reason) => warn(exchange, index, &reason),
            }
        }
        Ok(found.into())
    }
}

/// Says that a credential takes part no more, which is nobody's fault but the policy's.
fn warn(exchange: &Exchange<'_>, index: usize, reason: &str) {
    if !exchange.memory.is_trial() {
        let what = format!("basic-auth ignores credentials[{index}]: {reason}");
        let endpoint = exchange.endpoint.url.to_string();
        exchange.env.log().warn(&endpoint, &what);
    }
}

/// Whether the client tried to sign in, well or not.
fn is_presented(lines: &HeaderMap) -> bool {
    let mut values = lines.get_all(AUTHORIZATION).iter();
    values.any(|value| encoded(value).is_some())
}

/// `user:password` as the client sent it, if it sent exactly one line, and a well-formed one.
fn presented(lines: &HeaderMap) -> Option<Vec<u8>> {
    let mut values = lines.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (values.next(), values.next()) else {
        return None;
    };
    let decoded = STANDARD.decode(encoded(only)?).ok()?;
    let is_sound = decoded.contains(&b':') && !decoded.iter().any(u8::is_ascii_control);
    is_sound.then_some(decoded)
}

/// What stands behind `Basic`.
fn encoded(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, rest) = value.as_bytes().split_at_checked(5)?;
    let is_basic = scheme.eq_ignore_ascii_case(b"basic") && rest.first() == Some(&b' ');
    is_basic.then(|| rest.trim_ascii())
}

fn user(presented: &[u8]) -> String {
    let user = presented.split(|byte| *byte == b':').next();
    String::from_utf8_lossy(user.unwrap_or_default()).into_owned()
}

fn credentials<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Credential>, D::Error> {
    let bounds = Bounds {
        field: "credentials",
        max: CREDENTIALS_MAX,
        code: 2218,
    };
    bounds.read(deserializer)
}

/// What `www-authenticate` says.
#[derive(Debug)]
struct Realm {
    challenge: HeaderValue,
}

impl Default for Realm {
    fn default() -> Self {
        let challenge = HeaderValue::from_static(r#"Basic realm="adit", charset="UTF-8""#);
        Self { challenge }
    }
}

impl<'de> Deserialize<'de> for Realm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(RealmVisitor)
    }
}

struct RealmVisitor;

impl Visitor<'_> for RealmVisitor {
    type Value = Realm;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a realm")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Realm, E> {
        let is_shown = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        let challenge = format!("Basic realm=\"{text}\", charset=\"UTF-8\"");
        match HeaderValue::try_from(challenge) {
            Ok(challenge) if text.len() <= REALM_MAX && text.bytes().all(is_shown) => {
                Ok(Realm { challenge })
            }
            _ => Err(E::custom(
                "a realm has up to 128 ASCII characters, without `\"` and `\\` (ERR_ADIT_2204)",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;
    use crate::memory::Memory;
    use crate::testing::{one, policy, refused, request};
    use crate::verdict::Verdict;

    const CONFIG: &str = "{credentials: ['alice:correct horse', 'bob:$${battery}', 'é:pässwörd']}";

    fn basic(credential: &str) -> String {
        format!("Basic {}", STANDARD.encode(credential))
    }

    fn sent(lines: &[&str]) -> HeaderMap {
        let lines = lines.iter();
        let lines = lines.map(|line| (AUTHORIZATION, HeaderValue::from_str(line).unwrap()));
        lines.collect()
    }

    async fn asked(config: &str, headers: &HeaderMap) -> (Verdict, Value<'static>) {
        let policy = policy(&one("on_http_request", "basic-auth", config));
        let mut exchange = request(headers);
        exchange.memory = Memory::traced();
        let verdict = policy.on_http_request(&mut exchange).await;
        let left = exchange.memory.result("basic_auth").cloned();
        (verdict, left.unwrap_or(Value::Null))
    }

    fn left(presented: bool, username: &'static str, authorized: bool) -> Value<'static> {
        let credentials = Value::map([
            ("presented", Value::Bool(presented)),
            ("username", Value::text(username)),
            ("authorized", Value::Bool(authorized)),
        ]);
        Value::map([("credentials", credentials)])
    }

    #[tokio::test]
    async fn who_is_on_the_list_gets_in() {
        for (credential, user) in [
            ("alice:correct horse", "alice"),
            ("bob:${battery}", "bob"),
            ("é:pässwörd", "é"),
        ] {
            for scheme in ["Basic", "BASIC", "basic "] {
                let line = basic(credential).replace("Basic", scheme);
                let (verdict, told) = asked(CONFIG, &sent(&[&line])).await;
                assert!(matches!(verdict, Verdict::Continue), "{line}: {verdict:?}");
                assert_eq!(told, left(true, user, true));
            }
        }
    }

    #[tokio::test]
    async fn others_get_401_with_a_challenge() {
        let config = "{credentials: ['alice:correct horse'], realm: the vault}";
        let headers = sent(&[&basic("alice:wrong horse")]);
        let (verdict, told) = asked(config, &headers).await;
        let Verdict::Refuse { refusal, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!((refusal.status.as_u16(), refusal.code), (401, 50011));
        assert_eq!(
            refusal.headers,
            [(
                WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Basic realm="the vault", charset="UTF-8""#)
            )]
        );
        assert_eq!(told, left(true, "alice", false));
        let (verdict, told) = asked(CONFIG, &HeaderMap::new()).await;
        let Verdict::Refuse { refusal, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(
            refusal.headers[0].1,
            r#"Basic realm="adit", charset="UTF-8""#
        );
        assert_eq!(told, left(false, "", false));
    }

    #[tokio::test]
    async fn a38_what_is_ambiguous_or_malformed_is_refused() {
        let good = basic("alice:correct horse");
        let cases: &[&[&str]] = &[
            &[&good, &basic("eve:whatever")],
            &[&good, &good],
            &[&good, "Bearer abc"],
            &[&format!("{good}, {good}")],
            &[&good.replace("Basic ", "Basic")],
            &[&good.replace("Basic", "Digest")],
            &["Basic"],
            &["Basic "],
            &["Basic !!!!"],
            &[&format!("{good}=")],
            &[good.trim_end_matches('=')],
            &[&basic("alice")],
            &[&basic("alice:correct horse\0")],
            &[&basic("alice\0:correct horse")],
            &[&basic("alice:correct horse\n")],
            &[&basic("alice:")],
            &[&basic(":")],
        ];
        for lines in cases {
            let (verdict, told) = asked(CONFIG, &sent(lines)).await;
            assert!(
                matches!(&verdict, Verdict::Refuse { refusal, .. } if refusal.code == 50011),
                "{lines:?}: {verdict:?}"
            );
            assert_ne!(told, left(true, "alice", true), "{lines:?}");
        }
        let mut other_header = HeaderMap::new();
        other_header.insert("proxy-authorization", good.parse().unwrap());
        let (verdict, _) = asked(CONFIG, &other_header).await;
        assert!(matches!(verdict, Verdict::Refuse { .. }));
    }

    #[tokio::test]
    async fn without_enforcement_the_decision_is_only_told() {
        let config = "{credentials: ['alice:correct horse'], enforce: false}";
        for (lines, told) in [
            (sent(&[]), left(false, "", false)),
            (sent(&[&basic("eve:12345678")]), left(true, "eve", false)),
            (sent(&["Basic !"]), left(true, "", false)),
        ] {
            let (verdict, left) = asked(config, &lines).await;
            assert!(matches!(verdict, Verdict::Continue));
            assert_eq!(left, told);
        }
    }

    #[tokio::test]
    async fn a_credential_may_be_made_for_each_exchange() {
        let lines = |user: &'static str, password: &'static str, sent: &str| {
            HeaderMap::from_iter([
                ("x-user".parse().unwrap(), HeaderValue::from_static(user)),
                (
                    "x-pass".parse().unwrap(),
                    HeaderValue::from_static(password),
                ),
                (AUTHORIZATION, HeaderValue::from_str(&basic(sent)).unwrap()),
            ])
        };
        let sides =
            "{credentials: [\"u-${req.headers['x-user'][0]}:${req.headers['x-pass'][0]}\"]}";
        let whole =
            "{credentials: [\"${req.headers['x-user'][0] + ':' + req.headers['x-pass'][0]}\"]}";
        let passes = async |config, user, password, sent: &str| {
            let (verdict, _) = asked(config, &lines(user, password, sent)).await;
            matches!(verdict, Verdict::Continue)
        };
        assert!(passes(sides, "a", "12345678", "u-a:12345678").await);
        assert!(passes(sides, "a", "1234:5678", "u-a:1234:5678").await);
        assert!(passes(whole, "a", "12345678", "a:12345678").await);
        assert!(
            !passes(sides, "a", "", "u-a:").await,
            "no empty password matches"
        );
        assert!(!passes(sides, "a", "1234567", "u-a:1234567").await);
        assert!(!passes(sides, "a:12345678", "x", "u-a:12345678:x").await);
        assert!(!passes(whole, "", "12345678", ":12345678").await);
        let (verdict, _) = asked(sides, &sent(&[&basic("u-a:12345678")])).await;
        assert!(matches!(verdict, Verdict::Fault { fault, .. } if fault.code() == 2238));
    }

    #[test]
    fn a_wrong_credential_is_refused_at_its_place_and_never_shown() {
        for (credential, said) in [
            (
                "alice",
                "a credential has no colon: write `user:password` (ERR_ADIT_2257)",
            ),
            (
                ":hunter2hunter2",
                "the user of a credential is empty (ERR_ADIT_359)",
            ),
            (
                "alice:hunter2",
                "has not 8 to 128 characters (ERR_ADIT_360)",
            ),
            (
                "alice:hunter2\\n",
                "holds a control character (ERR_ADIT_2258)",
            ),
            (
                "al\\tice:hunter2hunter2",
                "holds a control character (ERR_ADIT_2257)",
            ),
            (
                "${req.method}hunter2${req.method}",
                "stands outside of `${}`",
            ),
            (
                "alice:${req.methot}hunter2",
                "unknown variable `req.methot`",
            ),
        ] {
            let config = format!("{{credentials: ['bob:12345678', \"{credential}\"]}}");
            let message = refused(&one("on_http_request", "basic-auth", &config));
            assert!(message.contains(said), "{message}");
            assert!(message.starts_with("policy.yaml:4:"), "{message}");
            assert!(message.contains("credentials[1]"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
        let config = "{credentials: ['alice:correct horse']}";
        let policy = policy(&one("on_http_request", "basic-auth", config));
        assert!(!format!("{policy:?}").contains("horse"));
    }

    #[test]
    fn lists_and_texts_have_bounds() {
        let with = |count: usize, user: usize, password: usize| {
            let credential = format!("{}:{}", "u".repeat(user), "p".repeat(password));
            let list = vec![credential; count].join(", ");
            let config = format!("{{credentials: [{list}]}}");
            one("on_http_request", "basic-auth", &config)
        };
        assert!(!policy(&with(100, 128, 128)).is_empty());
        assert!(
            refused(&with(101, 1, 8))
                .contains("more than 100 items in `credentials` (ERR_ADIT_2218)")
        );
        assert!(refused(&with(0, 1, 8)).contains("at least one item (ERR_ADIT_2223)"));
        assert!(refused(&with(1, 129, 8)).contains("longer than 128 bytes (ERR_ADIT_2257)"));
        assert!(refused(&with(1, 1, 129)).contains("(ERR_ADIT_360)"));
        for realm in ["'a\"b'", "'a\\b'", "\"a\\nb\"", "é", &"r".repeat(129)] {
            let config = format!("{{credentials: ['a:12345678'], realm: {realm}}}");
            let message = refused(&one("on_http_request", "basic-auth", &config));
            assert!(
                message.contains("a realm has up to 128 ASCII characters"),
                "{message}"
            );
        }
    }
}
