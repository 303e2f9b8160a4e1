//! What a client signs in with: its `authorization` header, read as RFC 7617 says and in no other way.

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a request says of who sends it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing that is meant for this action.
    Nothing,
    /// Something that is no user and password, or more than one of it. Nobody can guess a password with it.
    Unreadable,
    /// A user and a password.
    Pair(Presented),
}

/// `user:password` as it was sent.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Presented {
    text: Vec<u8>,
    colon: usize,
}

// === impl Sent ===

impl Sent {
    pub(super) fn of(lines: &HeaderMap) -> Self {
        let values = || lines.get_all(AUTHORIZATION).iter();
        if !values().any(|value| encoded(value).is_some()) {
            return Self::Nothing;
        }
        let mut values = values();
        let pair = match (values.next(), values.next()) {
            (Some(only), None) => encoded(only).and_then(Presented::decode),
            _ => None,
        };
        pair.map_or(Self::Unreadable, Self::Pair)
    }
}

/// What stands behind `Basic`.
fn encoded(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, rest) = value.as_bytes().split_at_checked(5)?;
    let is_basic = scheme.eq_ignore_ascii_case(b"basic") && rest.first() == Some(&b' ');
    is_basic.then(|| rest.trim_ascii())
}

// === impl Presented ===

impl Presented {
    fn decode(encoded: &[u8]) -> Option<Self> {
        let text = STANDARD.decode(encoded).ok()?;
        let colon = text.iter().position(|byte| *byte == b':')?;
        let is_sound = !text.iter().any(u8::is_ascii_control);
        is_sound.then_some(Self { text, colon })
    }

    /// Both, with the colon between them.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn user(&self) -> &[u8] {
        self.text.get(..self.colon).unwrap_or_default()
    }

    pub(super) fn password(&self) -> &[u8] {
        self.text.get(self.colon + 1..).unwrap_or_default()
    }
}

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presented(***)")
    }
}
