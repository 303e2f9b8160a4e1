//! Durations in Go's syntax: `1h30m`, `500ms`, `1.5s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Visitor};
use thiserror::Error;

/// A duration that reads itself from Go's syntax. There are no negative ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(pub Duration);

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a duration; write numbers with units, as in 1h30m, 1.5s or 500ms")]
pub struct BadDuration;

impl FromStr for GoDuration {
    type Err = BadDuration;

    fn from_str(text: &str) -> Result<Self, BadDuration> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut rest = text;
        let mut sum = Duration::ZERO;
        loop {
            let (part, behind) = first_part(rest)?;
            sum = sum.checked_add(part).ok_or(BadDuration)?;
            if behind.is_empty() {
                return Ok(Self(sum));
            }
            rest = behind;
        }
    }
}

/// One number with its unit, and what stands behind.
fn first_part(text: &str) -> Result<(Duration, &str), BadDuration> {
    let (number, rest) = cut(text, |c| !c.is_ascii_digit() && c != '.');
    let (unit, rest) = cut(rest, |c| c.is_ascii_digit() || c == '.');
    let nanos_per_unit: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(BadDuration),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(BadDuration);
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| BadDuration)?
    };
    let mut nanos = whole.checked_mul(nanos_per_unit).ok_or(BadDuration)?;
    let mut place = nanos_per_unit;
    for digit in fraction.bytes() {
        place /= 10;
        nanos = nanos
            .checked_add(place * u64::from(digit - b'0'))
            .ok_or(BadDuration)?;
    }
    Ok((Duration::from_nanos(nanos), rest))
}

fn cut(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at_checked(text.find(end).unwrap_or(text.len()))
        .unwrap_or((text, ""))
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = GoDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with a unit, as in 1h30m or 500ms")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<GoDuration, E> {
        text.parse()
            .map_err(|bad| E::custom(format_args!("`{text}` is {bad}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("500ms", 500_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5m", 30_000_000_000),
            ("2.s", 2_000_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("7µs", 7_000),
        ] {
            assert_eq!(
                text.parse::<GoDuration>(),
                Ok(GoDuration(Duration::from_nanos(nanos))),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "1",
            "s",
            ".s",
            "1.2.3s",
            "-1s",
            "1 s",
            "1d",
            "99999999999h",
            "1h30",
            "1sm",
        ] {
            assert_eq!(text.parse::<GoDuration>(), Err(BadDuration), "{text}");
        }
    }

    #[test]
    fn a_wrong_duration_in_a_document_has_a_place() {
        let mistake = read::<Vec<GoDuration>>("f", "- 1s\n- 5 s\n").unwrap_err();
        assert_eq!(
            mistake.to_string(),
            "f:2:3: [1]: `5 s` is not a duration; write numbers with units, as in 1h30m, 1.5s or 500ms\n    2 | - 5 s\n      |   ^"
        );
        let mistake = read::<Vec<GoDuration>>("f", "- 5\n").unwrap_err();
        assert_eq!(
            mistake.first().message(),
            "[0]: invalid type: integer `5`, expected a duration with a unit, as in 1h30m or 500ms"
        );
    }
}
