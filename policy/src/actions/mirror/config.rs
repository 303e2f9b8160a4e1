//! The values that the config of a `mirror` is made of.

use std::time::Duration;

use http::Method;
use http::header::HeaderName;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::actions::headers::header_name;
use crate::actions::list::Bounds;
use crate::env::Random;
use crate::go_duration::GoDuration;
use crate::mirror::Comparison;
use crate::mirror::json::JsonPath;
use crate::size::Size;

/// Longest name of a mirror in characters.
const ID_MAX: usize = 64;
/// Most items of one list.
const LIST_MAX: usize = 32;
/// More of a body is never held.
const BODY_MAX: Size = Size(1 << 20);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// What of both answers is compared. What differs first is told: the status, then headers, then the body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compare {
    /// Whether the statuses are compared. Default: true.
    #[serde(default = "yes")]
    status: bool,
    /// Headers whose lines are compared; up to 32. Default: none.
    #[serde(default, deserialize_with = "names")]
    headers: Vec<HeaderName>,
    /// Whether the bodies are compared: without their `content-encoding` if that is gzip, deflate or br; JSON by what it
    /// means, in whatever order its keys are; everything else byte by byte. Default: true.
    #[serde(default = "yes")]
    body: bool,
    /// What does not matter in JSON, such as `$.time`, `$.items[*].id`, or `$..etag` for a key at any depth; up to 32.
    #[serde(default, deserialize_with = "paths")]
    ignore: Vec<JsonPath>,
}

/// A share of 100.
#[derive(Debug)]
pub(super) struct Percentage(f64);

/// The name of a mirror, safe in labels and logs.
#[derive(Debug)]
pub(super) struct Id(pub(super) String);

// === impl Compare ===

impl Default for Compare {
    fn default() -> Self {
        Self {
            status: true,
            headers: Vec::new(),
            body: true,
            ignore: Vec::new(),
        }
    }
}

impl From<Compare> for Comparison {
    fn from(said: Compare) -> Self {
        Self {
            status: said.status,
            headers: said.headers,
            body: said.body,
            ignore: said.ignore,
        }
    }
}

// === impl Percentage ===

impl Percentage {
    /// Whether chance chooses this request. Nothing is asked where the answer is known.
    pub(super) fn is_drawn(&self, random: &dyn Random) -> bool {
        if self.0 >= 100.0 {
            return true;
        }
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        // As many bits as a double keeps.
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
        let chance = (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64;
        chance * 100.0 < self.0
    }
}

impl Default for Percentage {
    fn default() -> Self {
        Self(100.0)
    }
}

impl<'de> Deserialize<'de> for Percentage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let share = f64::deserialize(deserializer)?;
        match (0.0..=100.0).contains(&share) {
            true => Ok(Self(share)),
            false => Err(D::Error::custom(format_args!(
                "{share} is not a percentage from 0 to 100 (ERR_ADIT_2215)"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
        match (1..=ID_MAX).contains(&text.len()) && text.chars().all(is_safe) {
            true => Ok(Self(text)),
            false => Err(D::Error::custom(format_args!(
                "an `id` is 1 to {ID_MAX} letters, digits and -_.:/ (ERR_ADIT_2204)"
            ))),
        }
    }
}

pub(super) fn safe() -> Vec<Method> {
    vec![Method::GET, Method::HEAD, Method::OPTIONS]
}

pub(super) fn methods<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Method>, D::Error> {
    Ok(bounds("methods")
        .read::<Named, D>(deserializer)?
        .into_iter()
        .map(|Named(method)| method)
        .collect())
}

pub(super) fn names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<HeaderName>, D::Error> {
    Ok(bounds("headers")
        .read::<Name, D>(deserializer)?
        .into_iter()
        .map(|Name(name)| name)
        .collect())
}

fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<JsonPath>, D::Error> {
    bounds("ignore").read(deserializer)
}

pub(super) fn body<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    let size = Size::deserialize(deserializer)?;
    match size <= BODY_MAX {
        true => Ok(size),
        false => Err(D::Error::custom(
            "`max_body` is at most 1MiB (ERR_ADIT_2215)",
        )),
    }
}

pub(super) fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let GoDuration(timeout) = GoDuration::deserialize(deserializer)?;
    if timeout.is_zero() {
        return Err(D::Error::custom("`timeout` is not 0 (ERR_ADIT_2204)"));
    }
    match timeout <= TIMEOUT_MAX {
        true => Ok(timeout),
        false => Err(D::Error::custom("longer than 60s (ERR_ADIT_2225)")),
    }
}

fn bounds(field: &'static str) -> Bounds {
    Bounds {
        field,
        max: LIST_MAX,
        code: 2218,
    }
}

fn yes() -> bool {
    true
}

struct Named(Method);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let method = Method::from_bytes(text.to_ascii_uppercase().as_bytes());
        match method {
            Ok(Method::CONNECT) | Err(_) => Err(D::Error::custom(format_args!(
                "`{text}` is no method that can be mirrored (ERR_ADIT_2222)"
            ))),
            Ok(method) => Ok(Self(method)),
        }
    }
}

struct Name(HeaderName);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        header_name(&text).map(Self).map_err(D::Error::custom)
    }
}
