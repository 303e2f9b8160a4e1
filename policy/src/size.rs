//! Numbers of bytes: `65536`, `64KiB`, `10MB`.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};
use thiserror::Error;

/// A number of bytes that reads itself, as a plain number or with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// Why a text is no size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a size; write a number of bytes, or one with a unit, as in 64KiB or 10MB")]
pub struct BadSize;

impl Size {
    /// The number of bytes as a length in memory.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(end).ok_or(BadSize)?;
        let bytes_per_unit: u64 = match unit.trim_start() {
            "" | "B" => 1,
            "kB" | "KB" => 1_000,
            "KiB" => 1 << 10,
            "MB" => 1_000_000,
            "MiB" => 1 << 20,
            "GB" => 1_000_000_000,
            "GiB" => 1 << 30,
            _ => return Err(BadSize),
        };
        let number: u64 = number.parse().map_err(|_| BadSize)?;
        number.checked_mul(bytes_per_unit).map(Self).ok_or(BadSize)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes, as in 65536 or 64KiB")
    }

    fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<Size, E> {
        Ok(Size(bytes))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Size, E> {
        text.parse()
            .map_err(|bad| E::custom(format_args!("`{text}` is {bad}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read;

    #[test]
    fn sizes_are_plain_numbers_or_carry_a_unit() {
        let sizes: Vec<Size> = read("f", "[65536, 64KiB, 10 MB, 1B]").unwrap();
        assert_eq!(
            sizes,
            [Size(65_536), Size(65_536), Size(10_000_000), Size(1)]
        );
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "KiB", "1.5KiB", "-1", "1kb", "99999999999GiB"] {
            assert_eq!(text.parse::<Size>(), Err(BadSize), "{text}");
        }
        assert_eq!(
            read::<Size>("f", "1 kilo").unwrap_err().first().message(),
            "`1 kilo` is not a size; write a number of bytes, or one with a unit, as in 64KiB or 10MB"
        );
    }
}
