//! A status that a policy may answer with.

use std::fmt;

use http::StatusCode;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A final status, 200 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(pub(super) StatusCode);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusVisitor)
    }
}

struct StatusVisitor;

impl Visitor<'_> for StatusVisitor {
    type Value = Status;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status from 200 to 599")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Status, E> {
        let code = u16::try_from(value)
            .ok()
            .filter(|code| (200..=599).contains(code));
        code.and_then(|code| StatusCode::from_u16(code).ok())
            .map(Status)
            .ok_or_else(|| {
                E::custom(format_args!(
                    "status {value} is not from 200 to 599 (ERR_ADIT_2215)"
                ))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read;

    #[test]
    fn only_final_statuses_are_read() {
        assert_eq!(read::<Status>("f", "599").unwrap().0.as_u16(), 599);
        for text in ["199", "600", "70000"] {
            let message = read::<Status>("f", text)
                .unwrap_err()
                .first()
                .message()
                .to_owned();
            assert_eq!(
                message,
                format!("status {text} is not from 200 to 599 (ERR_ADIT_2215)")
            );
        }
        assert!(read::<Status>("f", "-1").is_err());
        assert!(read::<Status>("f", "'200'").is_err());
    }
}
