//! A range of ports.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// Ports from a first to a last one, both included: `20000-20999`, or one alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// Why a text is no range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ports are written like 20000-20999, from 1 to 65535")]
pub struct BadPortRange;

// === impl PortRange ===

impl PortRange {
    /// Whether a port lies inside.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Every port, each once, beginning somewhere inside that `seed` decides.
    pub(crate) fn beginning_at(self, seed: u64) -> impl Iterator<Item = u16> {
        let count = u64::from(self.last - self.first) + 1;
        let begin = u16::try_from(seed % count).unwrap_or(0);
        let middle = self.first + begin;
        (middle..=self.last).chain(self.first..middle)
    }
}

impl FromStr for PortRange {
    type Err = BadPortRange;

    fn from_str(text: &str) -> Result<Self, BadPortRange> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.parse::<u16>().map_err(|_| BadPortRange);
        let (first, last) = (port(first)?, port(last)?);
        match 1 <= first && first <= last {
            true => Ok(Self { first, last }),
            false => Err(BadPortRange),
        }
    }
}

impl From<RangeInclusive<u16>> for PortRange {
    fn from(range: RangeInclusive<u16>) -> Self {
        Self {
            first: *range.start(),
            last: *range.end().max(range.start()),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = PortRange;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a range of ports, as in 20000-20999")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PortRange, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, port: u64) -> Result<PortRange, E> {
                self.visit_str(&port.to_string())
            }
        }

        deserializer.deserialize_any(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_reads_back_as_itself_and_others_are_refused() {
        for text in ["20000-20999", "22", "1-65535"] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), text);
        }
        for text in ["", "0-5", "9-1", "a-b", "1-65536", "1-2-3", "-5", "5-"] {
            assert_eq!(text.parse::<PortRange>(), Err(BadPortRange), "{text}");
        }
    }

    #[test]
    fn every_port_comes_once_wherever_it_begins() {
        let range: PortRange = "10-13".parse().unwrap();
        let from = |seed| range.beginning_at(seed).collect::<Vec<_>>();
        assert_eq!(from(0), [10, 11, 12, 13]);
        assert_eq!(from(6), [12, 13, 10, 11]);
        assert_eq!(from(u64::MAX), [13, 10, 11, 12]);
    }
}
