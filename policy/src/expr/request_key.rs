//! An expression outside of policies whose text tells requests apart.

use serde::de::{Deserialize, Deserializer};

use super::error::EvalError;
use super::expression::{Expression, of_any_type};
use crate::action::Phase;
use crate::document::scope;
use crate::exchange::Exchange;

/// CEL of any type, evaluated for a request: it may name what an expression under `on_http_request` may.
#[derive(Clone, Debug)]
pub struct RequestKey(Expression);

impl RequestKey {
    /// What stands in the document.
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// Hands `read` the text of the value for an exchange, as `${…}` would write it.
    ///
    /// # Errors
    /// When there is no value: `req.headers['x-user'][0]` of a request without this header.
    pub fn with<T>(
        &self,
        exchange: &Exchange<'_>,
        read: impl FnOnce(&str) -> T,
    ) -> Result<T, EvalError> {
        let value = self.0.value(exchange)?;
        Ok(read(&value.to_text()))
    }
}

impl PartialEq for RequestKey {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl<'de> Deserialize<'de> for RequestKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = scope::with_phase(Phase::OnHttpRequest, || of_any_type(deserializer));
        // What it looks at is nothing to the policy that is read next.
        scope::take_results();
        scope::take_reads_secrets();
        let expression = read?;
        if expression.constant().is_some() {
            scope::warn(format!(
                "`{}` is the same for every request",
                expression.text()
            ));
        }
        Ok(Self(expression))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{read, read_warned};

    #[test]
    fn a_mistake_is_told_at_its_character_and_a_constant_is_warned_of() {
        let mistake = read::<RequestKey>("f", "req.hedaers['a'][0]\n").unwrap_err();
        assert!(mistake.to_string().starts_with("f:1:"), "{mistake}");
        assert!(
            read::<RequestKey>("f", "res.status_code\n").is_err(),
            "there is no response yet"
        );
        let (key, warnings) = read_warned::<RequestKey>("f", "conn.client_ip\n").unwrap();
        assert!(key.text() == "conn.client_ip" && warnings.is_empty());
        let (_, warnings) = read_warned::<RequestKey>("f", "\"'a'\"\n").unwrap();
        assert_eq!(warnings.len(), 1);
    }
}
