//! HubSpot: method, URL, body and timestamp, where some of the URL's characters are decoded before.

use std::borrow::Cow;

use super::mac::{Encoding, Hash};
use super::moment::{FIVE_MINUTES, Unit};
use super::scheme::{At, Headers, Key, Layout, Piece, Scheme, Timestamp};
use super::{Incoming, Provider, Unverified};

/// HubSpot's `X-HubSpot-Signature-v3`. Versions 1 and 2, which anybody can replay for ever, are not accepted.
#[derive(Debug)]
pub(super) struct HubSpot;

static SCHEME: Scheme<'static> = Scheme {
    headers: Headers::One("x-hubspot-signature-v3"),
    layout: Layout::Whole(""),
    hash: Hash::Sha256,
    encoding: Encoding::Base64,
    key: Key::Text,
    timestamp: Some(Timestamp {
        at: At::Header("x-hubspot-request-timestamp"),
        unit: Unit::Millis,
        tolerance: FIVE_MINUTES,
    }),
    signed: &[Piece::Method, Piece::Url, Piece::Body, Piece::Timestamp],
};

impl Provider for HubSpot {
    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        let url = decode(incoming.url);
        SCHEME.verify(
            secret,
            &Incoming {
                url: &url,
                ..*incoming
            },
        )
    }
}

/// What HubSpot decodes before it signs: these, and nothing else.
fn decoded(digits: &str) -> Option<char> {
    Some(match digits {
        "3A" => ':',
        "2F" => '/',
        "3F" => '?',
        "40" => '@',
        "21" => '!',
        "24" => '$',
        "27" => '\'',
        "28" => '(',
        "29" => ')',
        "2A" => '*',
        "2C" => ',',
        "3B" => ';',
        _ => return None,
    })
}

fn decode(url: &str) -> Cow<'_, str> {
    let mut parts = url.split('%');
    let Some(first) = parts.next().filter(|first| first.len() < url.len()) else {
        return url.into();
    };
    let mut text = String::with_capacity(url.len());
    text.push_str(first);
    for part in parts {
        let known = part.split_at_checked(2).and_then(|(digits, rest)| {
            let known = decoded(&digits.to_ascii_uppercase())?;
            Some((known, rest))
        });
        if let Some((known, rest)) = known {
            text.push(known);
            text.push_str(rest);
        } else {
            text.push('%');
            text.push_str(part);
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_hubspot_decodes_and_nothing_else() {
        for (url, signed) in [
            ("https://a.example/x?y=1", "https://a.example/x?y=1"),
            (
                "https://a.example/x?y=hs%3Aapp%2Fv3&z=%28a%29",
                "https://a.example/x?y=hs:app/v3&z=(a)",
            ),
            ("/%21%24%27%2a%2C%3b%3f%40", "/!$'*,;?@"),
            ("/%20%26%3D%25%2", "/%20%26%3D%25%2"),
            ("/%é", "/%é"),
        ] {
            assert_eq!(decode(url), signed);
        }
    }
}
