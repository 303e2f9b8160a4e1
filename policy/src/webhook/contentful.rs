//! Contentful: method, path, a list of headers that the request names itself, and the body.

use std::collections::BTreeSet;
use std::time::Duration;

use super::mac::{Encoding, Hash, Mac};
use super::moment::{self, Unit};
use super::{Incoming, Provider, Unverified, malformed, not_empty, required};

/// Contentful's request verification for apps, whose requests live for 30 seconds.
#[derive(Debug)]
pub(super) struct Contentful;

const SIGNATURE: &str = "x-contentful-signature";
const SIGNED: &str = "x-contentful-signed-headers";
const TIMESTAMP: &str = "x-contentful-timestamp";
const TOLERANCE: Duration = Duration::from_secs(30);

impl Provider for Contentful {
    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        not_empty(secret)?;
        let signature = required(incoming, SIGNATURE)?;
        let names: BTreeSet<_> = required(incoming, SIGNED)?
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        if !names.contains(SIGNED) || !names.contains(TIMESTAMP) {
            return Err(malformed(
                SIGNED,
                "a list with itself and the timestamp in it",
            ));
        }
        let signed = moment::read(required(incoming, TIMESTAMP)?, Unit::Millis)
            .ok_or_else(|| malformed(TIMESTAMP, "a timestamp"))?;
        moment::check(signed, incoming.now, TOLERANCE)?;

        let mut mac = Mac::new(Hash::Sha256, secret.as_bytes());
        mac.add(incoming.method.as_str());
        mac.add("\n");
        mac.add(path(incoming.url));
        for (place, name) in names.iter().enumerate() {
            mac.add(if place == 0 { "\n" } else { ";" });
            mac.add(name);
            mac.add(":");
            mac.add(required(incoming, name)?.trim());
        }
        mac.add("\n");
        mac.add(incoming.body);
        mac.finish().check(signature, Encoding::Hex, || {
            malformed(SIGNATURE, "a signature in hex")
        })
    }
}

/// Path and query as they are signed: the path encoded once more, the query twice.
fn path(url: &str) -> String {
    const IN_PATH: &[u8] = b"-_.!~*'();,/?:@&=+$#";
    const IN_QUERY: &[u8] = b"-_.!~*'()";
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let target = behind.find('/').and_then(|start| behind.get(start..));
    let mut parts = target.unwrap_or("/").split('?');
    let path = encode(parts.next().unwrap_or_default(), IN_PATH, "%");
    match parts.next() {
        Some(query) if !query.is_empty() => format!("{path}?{}", encode(query, IN_QUERY, "%25")),
        _ => path,
    }
}

fn encode(text: &str, plain: &[u8], percent: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(percent);
            encoded.push_str(&format!("{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right sides were made with `encodeURI` and `querystring.escape` of Node.js, as the provider's library calls them.
    #[test]
    fn a_path_is_encoded_as_the_providers_library_does() {
        for (url, signed) in [
            ("https://a.example/api/resources/1", "/api/resources/1"),
            ("https://a.example", "/"),
            ("https://a.example/a%20b?", "/a%2520b"),
            ("https://a.example/a?b=c%20d&e", "/a?b%253Dc%252520d%2526e"),
        ] {
            assert_eq!(path(url), signed);
        }
    }
}
