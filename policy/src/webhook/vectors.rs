//! Examples of signed requests, at least one for each provider, and what must happen when anything about them changes.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use serde::{Deserialize, Deserializer};

use super::{BadSecret, Incoming, LATER, PROVIDERS, Unverified, provider};
use crate::document::read;

/// A request that is signed as it should be.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    provider: String,
    /// Where the provider publishes it, if it does.
    source: Option<String>,
    #[serde(default = "secret")]
    secret: String,
    #[serde(default = "method")]
    method: String,
    #[serde(default = "url")]
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default = "body", deserialize_with = "bytes")]
    body: Vec<u8>,
    /// When it was signed, in seconds since 1970, if it says so; and the time at which it is verified.
    signed: Option<u64>,
    /// How many seconds old it may be.
    #[serde(default)]
    tolerance: u64,
    /// Whether the body is signed.
    #[serde(default = "yes")]
    covers_body: bool,
}

fn secret() -> String {
    "a secret of theirs".to_owned()
}

fn method() -> String {
    "POST".to_owned()
}

fn url() -> String {
    "https://app.example.com/hooks".to_owned()
}

fn body() -> Vec<u8> {
    br#"{"event":"created","id":7}"#.to_vec()
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    String::deserialize(deserializer).map(String::into_bytes)
}

fn yes() -> bool {
    true
}

#[test]
fn every_provider_has_an_example_and_every_example_is_verified() {
    for (id, _) in PROVIDERS {
        assert!(!vectors_of(id).is_empty(), "{id}");
    }
    for vector in &*VECTORS {
        assert_eq!(vector.verify(), Ok(()), "{}", vector.provider);
        let provider = provider(&vector.provider).unwrap();
        assert_eq!(provider.accepts(&vector.secret), Ok(()));
    }
}

#[test]
fn the_table_is_sorted_and_says_each_id_once() {
    let ids: Vec<_> = PROVIDERS.iter().map(|(id, _)| *id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b));
    for id in LATER {
        assert!(provider(id).is_none(), "{id}");
    }
    let published = VECTORS.iter().filter(|v| v.source.is_some()).count();
    assert!(published >= 15, "{published}");
    // The 69 of the policy language and the standard.
    assert_eq!(ids.len() + LATER.len(), 69 + 1);
}

#[test]
fn the_reference_names_every_provider() {
    let table = include_str!("providers.md");
    for (id, _) in PROVIDERS {
        assert!(table.contains(&format!("\n| `{id}` | ")), "{id}");
    }
    let rows = table.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, PROVIDERS.len());
}

#[test]
fn a_changed_byte_of_the_body_is_noticed() {
    for vector in VECTORS.iter().filter(|vector| vector.covers_body) {
        for place in 0..vector.body.len() {
            let mut changed = vector.clone();
            changed.body[place] ^= 1;
            assert!(changed.verify().is_err(), "{} at {place}", vector.provider);
        }
        let mut longer = vector.clone();
        longer.body.extend(b"&a=b");
        assert!(longer.verify().is_err(), "{}", vector.provider);
    }
}

#[test]
fn another_secret_is_noticed_and_an_empty_one_is_never_used() {
    for vector in &*VECTORS {
        let mut changed = vector.clone();
        changed.secret.replace_range(0..1, "X");
        assert!(changed.verify().is_err(), "{}", vector.provider);
        let empty = Vector {
            secret: String::new(),
            ..vector.clone()
        };
        let error = Unverified::Secret(BadSecret::Empty);
        assert_eq!(empty.verify(), Err(error), "{}", vector.provider);
        let provider = provider(&vector.provider).unwrap();
        assert_eq!(provider.accepts(""), Err(BadSecret::Empty));
        assert!(
            provider
                .challenge("", &vector.incoming(&HeaderMap::new()))
                .is_none()
        );
    }
}

#[test]
fn every_header_must_be_there_once_and_well_formed() {
    for vector in &*VECTORS {
        for name in vector.headers.keys() {
            let what = format!("{} {name}", vector.provider);
            let mut headers = vector.lines();
            headers.remove(name);
            assert!(vector.verify_under(&headers).is_err(), "{what} missing");
            let mut headers = vector.lines();
            headers.append(HeaderName::try_from(name).unwrap(), headers[name].clone());
            assert_eq!(
                vector.verify_under(&headers),
                Err(Unverified::Repeated(name.clone().into())),
                "{what} twice"
            );
            for malformed in [&b""[..], b"?", b"\xff", b"=,=, t= v1,"] {
                let mut headers = vector.lines();
                let value = HeaderValue::from_bytes(malformed).unwrap();
                headers.insert(HeaderName::try_from(name).unwrap(), value);
                assert!(vector.verify_under(&headers).is_err(), "{what} malformed");
            }
        }
    }
}

#[test]
fn old_requests_and_those_from_the_future_are_refused() {
    let mut timed = 0;
    for vector in &*VECTORS {
        let Some(signed) = vector.signed else {
            continue;
        };
        timed += 1;
        let (allowed, name) = (vector.tolerance, &vector.provider);
        let at = |seconds| {
            let mut vector = vector.clone();
            vector.signed = Some(seconds);
            vector.verify()
        };
        assert_eq!(at(signed + allowed), Ok(()), "{name}");
        assert_eq!(at(signed - allowed + 1), Ok(()), "{name}");
        let late = at(signed + allowed + 2);
        assert!(
            matches!(late, Err(Unverified::Stale { allowed: a, .. }) if a == allowed),
            "{name}"
        );
        let early = at(signed - allowed - 2);
        assert!(
            matches!(early, Err(Unverified::Future { allowed: a, .. }) if a == allowed),
            "{name}"
        );
    }
    assert!(timed > 30);
}

#[test]
fn who_signs_the_url_notices_another_one() {
    for id in [
        "contentful",
        "hubspot",
        "mailchimp",
        "plivo",
        "square",
        "twilio",
    ] {
        for vector in vectors_of(id) {
            let mut other = vector.clone();
            let path = "https://".len() + vector.url["https://".len()..].find('/').unwrap();
            other.url.insert(path + 1, 'x');
            assert!(other.verify().is_err(), "{id}");
        }
    }
}

#[test]
fn no_error_tells_a_secret_or_a_signature() {
    for vector in VECTORS.iter().filter(|vector| vector.provider != "gitlab") {
        let mut headers = vector.lines();
        let good: Vec<_> = headers
            .values()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        for value in headers.values_mut() {
            *value = HeaderValue::from_bytes(&[value.as_bytes(), b"x"].concat()).unwrap();
        }
        let Err(error) = vector.verify_under(&headers) else {
            continue;
        };
        let text = format!("{error} {error:?}");
        assert!(!text.contains(&vector.secret), "{text}");
        assert!(!good.iter().any(|value| text.contains(value)), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What strangers send is never taken for signed, and nothing they send stops us.
    #[test]
    fn nothing_that_anybody_makes_up_is_verified(
        text in "(t=|v1=|v1,|sign=|HMAC |[0-9]{1,13}|[A-Za-z0-9+/=]{0,88}|[,. :;%&?]|\\PC){0,12}",
        url in "https?://[a-z.:\\[\\]0-9]{0,9}[/?&=%a-zA-Z0-9]{0,30}",
        body in proptest::collection::vec(any::<u8>(), 0..64),
        seconds in any::<u32>(),
    ) {
        for vector in &*VECTORS {
            let mut headers = vector.lines();
            for value in headers.values_mut() {
                if let Ok(made_up) = HeaderValue::from_str(&text) {
                    *value = made_up;
                }
            }
            let mut vector = vector.clone();
            (vector.url, vector.body) = (url.clone(), body.clone());
            vector.signed = Some(seconds.into());
            prop_assert!(vector.verify_under(&headers).is_err(), "{}", vector.provider);
            let provider = provider(&vector.provider).unwrap();
            provider.challenge(&vector.secret, &vector.incoming(&headers));
        }
    }
}

/// `test_verify_bad_key` of SendGrid's own tests.
#[test]
fn another_public_key_of_sendgrid_is_noticed() {
    let vector = vectors_of("sendgrid").remove(0);
    let secret = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqTxd43gyp8IOEto2LdIfjRQrIbsd4SXZkLW6jDutdhXSJCWHw8REntlo7aNDthvj+y7GjUuFDb/R1NGe1OPzpA==";
    let other = Vector {
        secret: secret.to_owned(),
        ..vector
    };
    assert_eq!(other.verify(), Err(Unverified::Differs));
}

static VECTORS: LazyLock<Vec<Vector>> = LazyLock::new(|| {
    let vectors: Vec<Vector> = read("vectors.yaml", include_str!("vectors.yaml")).unwrap();
    assert!(!vectors.is_empty());
    vectors
});

fn vectors_of(id: &str) -> Vec<Vector> {
    let of = VECTORS.iter().filter(|vector| vector.provider == id);
    of.cloned().collect()
}

impl Vector {
    fn verify(&self) -> Result<(), Unverified> {
        self.verify_under(&self.lines())
    }

    fn verify_under(&self, headers: &HeaderMap) -> Result<(), Unverified> {
        provider(&self.provider)
            .unwrap()
            .verify(&self.secret, &self.incoming(headers))
    }

    fn incoming<'a>(&'a self, headers: &'a HeaderMap) -> Incoming<'a> {
        Incoming {
            method: if self.method == "POST" {
                &Method::POST
            } else {
                &Method::GET
            },
            url: &self.url,
            headers,
            body: &self.body,
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(self.signed.unwrap_or(0)),
        }
    }

    fn lines(&self) -> HeaderMap {
        let lines = self.headers.iter().map(|(name, value)| {
            let name = HeaderName::try_from(name).unwrap();
            (name, HeaderValue::try_from(value).unwrap())
        });
        lines.collect()
    }
}
