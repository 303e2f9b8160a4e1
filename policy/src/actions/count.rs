//! A number of requests that a policy may name.

use std::fmt;
use std::num::NonZeroU32;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Larger numbers are refused: they would be a mistake, and a counter must not overflow.
const COUNT_MAX: u32 = 2_000_000_000;

/// 1 to 2,000,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count(pub(super) NonZeroU32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number from 1 to 2000000000")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Count, E> {
        let count = u32::try_from(value)
            .ok()
            .filter(|count| *count <= COUNT_MAX);
        count.and_then(NonZeroU32::new).map(Count).ok_or_else(|| {
            E::custom(format_args!(
                "{value} is not from 1 to {COUNT_MAX} (ERR_ADIT_2215)"
            ))
        })
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Count, E> {
        self.visit_i64(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read;

    #[test]
    fn only_numbers_within_the_bounds_are_read() {
        for (text, count) in [("1", 1), ("2000000000", COUNT_MAX)] {
            assert_eq!(read::<Count>("f", text).unwrap().0.get(), count);
        }
        for text in ["0", "-1", "2000000001", "99999999999"] {
            let mistake = read::<Count>("f", text).unwrap_err().to_string();
            assert!(
                mistake.contains(&format!(
                    "{text} is not from 1 to 2000000000 (ERR_ADIT_2215)"
                )),
                "{mistake}"
            );
        }
        assert!(read::<Count>("f", "1.5").is_err() && read::<Count>("f", "many").is_err());
    }
}
