//! Statuses of HTTP that a check takes for good: `200-299,401`.

use std::{ops::RangeInclusive, str::FromStr};

use super::HealthCheckError;

/// What a status may be.
const POSSIBLE: RangeInclusive<u16> = 100..=599;

/// Some statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statuses(Vec<RangeInclusive<u16>>);

// === impl Statuses ===

impl Statuses {
    pub(super) fn contain(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl FromStr for Statuses {
    type Err = HealthCheckError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ranges: Option<_> = text.split(',').map(range).collect();
        ranges
            .map(Self)
            .ok_or_else(|| HealthCheckError::Statuses(text.into()))
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.trim().parse().ok()?..=last.trim().parse().ok()?;
    let possible = POSSIBLE.contains(range.start()) && POSSIBLE.contains(range.end());
    (possible && !range.is_empty()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_single_ones_and_ranges() {
        let statuses: Statuses = "200-299, 401,503".parse().unwrap();
        for (status, contained) in [
            (199, false),
            (200, true),
            (299, true),
            (401, true),
            (500, false),
        ] {
            assert_eq!(statuses.contain(status), contained, "{status}");
        }
        for text in ["", "200-", "299-200", "99", "600", "2xx", "200,,201"] {
            assert!(text.parse::<Statuses>().is_err(), "{text}");
        }
    }
}
