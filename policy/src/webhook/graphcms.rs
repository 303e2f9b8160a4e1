//! GraphCMS, today Hygraph: a JSON text that holds the body, the environment and the time is signed.

use super::mac::{Encoding, Hash, Mac};
use super::moment::{self, FIVE_MINUTES, Unit};
use super::{Incoming, Provider, Unverified, not_empty, required};

/// The `gcms-signature` header: `sign=…, env=…, t=…`.
#[derive(Debug)]
pub(super) struct Graphcms;

const HEADER: &str = "gcms-signature";
const MALFORMED: Unverified = Unverified::Malformed {
    header: std::borrow::Cow::Borrowed(HEADER),
    expected: "`sign=…, env=…, t=…`",
};

impl Provider for Graphcms {
    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        not_empty(secret)?;
        let mut fields = required(incoming, HEADER)?.split(", ");
        let mut field = |prefix: &str| fields.next().and_then(|text| text.strip_prefix(prefix));
        let (signature, environment, time) = field("sign=")
            .zip(field("env="))
            .zip(field("t="))
            .map(|((signature, environment), time)| (signature, environment, time))
            .ok_or(MALFORMED)?;
        let signed = moment::read(time, Unit::Millis).ok_or(MALFORMED)?;
        moment::check(signed, incoming.now, FIVE_MINUTES)?;
        let body = std::str::from_utf8(incoming.body).map_err(|_| Unverified::Body("UTF-8"))?;

        let mut mac = Mac::new(Hash::Sha256, secret.as_bytes());
        mac.add("{\"Body\":");
        mac.add(quoted(body)?);
        mac.add(",\"EnvironmentName\":");
        mac.add(quoted(environment)?);
        // As a number, so that `t=007` and `t=7` are one.
        mac.add(format!(",\"TimeStamp\":{signed}}}"));
        mac.finish()
            .check(signature, Encoding::Base64, || MALFORMED)
    }
}

/// A JSON string with what HTML would mind escaped, twice over, as the provider's library does.
fn quoted(text: &str) -> Result<String, Unverified> {
    let json = serde_json::to_string(text).map_err(|_| Unverified::Body("text"))?;
    Ok(json
        .replace('&', "\\\\u0026")
        .replace('<', "\\\\u003c")
        .replace('>', "\\\\u003e"))
}
