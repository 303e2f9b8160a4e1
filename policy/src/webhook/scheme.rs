//! A way to sign with a shared secret, said as data: which header, which hash, and which pieces are signed.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::mac::{Encoding, Hash, Mac, Tag};
use super::moment::{self, Unit};
use super::{BadSecret, Incoming, Provider, Unverified, malformed, not_empty, only, required};

/// One way to sign. `providers.rs` is the table of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scheme<'a> {
    /// Where the signatures stand. One that matches is enough.
    pub(super) headers: Headers<'a>,
    /// How they stand in a header's value.
    pub(super) layout: Layout<'a>,
    pub(super) hash: Hash,
    pub(super) encoding: Encoding,
    pub(super) key: Key,
    pub(super) timestamp: Option<Timestamp<'a>>,
    /// What is signed, in order.
    pub(super) signed: &'a [Piece<&'a str>],
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Headers<'a> {
    /// The signature's header.
    One(&'a str),
    /// One header for each of two secrets that are valid while they are rotated.
    Either(&'a str, &'a str),
    /// `prefix1`, `prefix2` and so on: one header for each secret that the provider knows.
    Numbered(&'a str),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Layout<'a> {
    /// The whole value, behind this prefix.
    Whole(&'a str),
    /// Several, `between` them; those with this prefix count, others are of versions that we do not know.
    Several { between: char, prefix: &'a str },
    /// `name=value` pairs between commas; this name's values count.
    Pairs(&'a str),
}

/// How the secret as text becomes the key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    /// Its bytes.
    Text,
    /// The bytes that it says in base64, with or without this in front.
    Base64(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Timestamp<'a> {
    pub(super) at: At<'a>,
    pub(super) unit: Unit,
    /// How old it may be, and how far in the future.
    pub(super) tolerance: Duration,
}

/// Where the timestamp stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum At<'a> {
    /// In a header of its own.
    Header(&'a str),
    /// Beside the signature, in a pair of this name.
    Pair(&'a str),
}

/// A piece of what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<S> {
    /// This text.
    Text(S),
    /// The timestamp, as it stands in the request.
    Timestamp,
    /// The body.
    Body,
    /// A header's value.
    Header(S),
    /// The method, in capitals.
    Method,
    /// The URL as the provider called it.
    Url,
}

// === impl Scheme ===

impl Provider for Scheme<'_> {
    fn accepts(&self, secret: &str) -> Result<(), BadSecret> {
        self.key.of(secret).map(drop)
    }

    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        let key = self.key.of(secret)?;
        let values = self.headers.values(incoming)?;
        let timestamp = self.timestamp(&values, incoming)?;
        let mut mac = Mac::new(self.hash, &key);
        for piece in self.signed {
            match piece {
                Piece::Text(text) => mac.add(text),
                Piece::Timestamp => mac.add(timestamp),
                Piece::Body => mac.add(incoming.body),
                Piece::Header(name) => mac.add(required(incoming, name)?),
                Piece::Method => mac.add(incoming.method.as_str()),
                Piece::Url => mac.add(incoming.url),
            }
        }
        self.compare(&values, &mac.finish())
    }
}

impl Scheme<'_> {
    /// Whether the request has a header that this scheme would look at.
    pub(super) fn is_for(&self, incoming: &Incoming<'_>) -> bool {
        !matches!(self.headers.values(incoming), Err(Unverified::Missing(_)))
    }

    /// The timestamp as text, once it is known to be fresh; empty where nothing is said about time.
    fn timestamp<'a>(
        &self,
        values: &[(&'a str, &'a str)],
        incoming: &Incoming<'a>,
    ) -> Result<&'a str, Unverified> {
        let Some(timestamp) = self.timestamp else {
            return Ok("");
        };
        let (header, text) = match timestamp.at {
            At::Header(name) => (name, required(incoming, name)?),
            At::Pair(name) => beside(values, name)?,
        };
        let signed =
            moment::read(text, timestamp.unit).ok_or_else(|| malformed(header, "a timestamp"))?;
        moment::check(signed, incoming.now, timestamp.tolerance)?;
        Ok(text)
    }

    fn compare(&self, values: &[(&str, &str)], tag: &Tag) -> Result<(), Unverified> {
        let mut readable = false;
        for (_, value) in values {
            for text in self.layout.signatures(value) {
                match tag.is(text, self.encoding) {
                    Some(true) => return Ok(()),
                    Some(false) => readable = true,
                    None => {}
                }
            }
        }
        if readable {
            return Err(Unverified::Differs);
        }
        let expected = match self.encoding {
            Encoding::Hex => "a signature in hex behind the provider's prefix",
            Encoding::Base64 => "a signature in base64 behind the provider's prefix",
        };
        Err(malformed(first(values), expected))
    }
}

fn first<'a>(values: &[(&'a str, &str)]) -> &'a str {
    values.first().map_or("", |(header, _)| header)
}

/// The pair of this name, which must be the only one.
fn beside<'a>(values: &[(&'a str, &'a str)], name: &str) -> Result<(&'a str, &'a str), Unverified> {
    let mut found = values.iter().flat_map(|(header, value)| {
        let texts = pairs(value).filter(|(key, _)| *key == name);
        texts.map(|(_, text)| (*header, text))
    });
    match (found.next(), found.next()) {
        (Some(pair), None) => Ok(pair),
        _ => Err(malformed(
            first(values),
            "one timestamp beside the signature",
        )),
    }
}

fn pairs(value: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = value.split(',');
    pairs.filter_map(|pair| pair.trim().split_once('='))
}

// === impl Piece ===

impl Piece<String> {
    pub(super) fn as_str(&self) -> Piece<&str> {
        match self {
            Self::Text(text) => Piece::Text(text),
            Self::Header(name) => Piece::Header(name),
            Self::Timestamp => Piece::Timestamp,
            Self::Body => Piece::Body,
            Self::Method => Piece::Method,
            Self::Url => Piece::Url,
        }
    }
}

// === impl Headers ===

impl<'s> Headers<'s> {
    /// Every signature header of the request, by name and value. There is at least one.
    fn values<'a>(&self, incoming: &Incoming<'a>) -> Result<Vec<(&'a str, &'a str)>, Unverified>
    where
        's: 'a,
    {
        let mut values = Vec::new();
        let mut look = |name: &'a str| -> Result<(), Unverified> {
            values.extend(only(incoming, name)?.map(|value| (name, value)));
            Ok(())
        };
        match self {
            Self::One(name) => look(name)?,
            Self::Either(a, b) => {
                look(a)?;
                look(b)?;
            }
            Self::Numbered(prefix) => {
                let names = incoming.headers.keys().map(http::HeaderName::as_str);
                let mut found = names.filter(|name| numbered(name, prefix));
                found.try_for_each(look)?;
            }
        }
        if values.is_empty() {
            return Err(Unverified::Missing(self.example().into()));
        }
        Ok(values)
    }

    /// A header that would do.
    fn example(&self) -> String {
        match self {
            Self::One(name) | Self::Either(name, _) => (*name).to_owned(),
            Self::Numbered(prefix) => format!("{prefix}1"),
        }
    }
}

fn numbered(name: &str, prefix: &str) -> bool {
    let number = name.strip_prefix(prefix);
    number.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

// === impl Layout ===

impl Layout<'_> {
    /// The signatures in a header's value, without what stands around them.
    fn signatures(self, value: &str) -> impl Iterator<Item = &str> {
        let between = match self {
            Self::Whole(_) => None,
            Self::Several { between, .. } => Some(between),
            Self::Pairs(_) => Some(','),
        };
        let parts = value.split(move |c| Some(c) == between);
        parts.filter_map(move |part| match self {
            Self::Whole(prefix) => part.strip_prefix(prefix),
            Self::Several { prefix, .. } => part.trim().strip_prefix(prefix),
            Self::Pairs(name) => {
                let (key, text) = part.trim().split_once('=')?;
                (key == name).then_some(text)
            }
        })
    }
}

// === impl Key ===

impl Key {
    fn of(self, secret: &str) -> Result<Cow<'_, [u8]>, BadSecret> {
        not_empty(secret)?;
        match self {
            Self::Text => Ok(secret.as_bytes().into()),
            Self::Base64(prefix) => {
                let text = secret.strip_prefix(prefix).unwrap_or(secret);
                let key = STANDARD.decode(text).map_err(|_| BadSecret::NotBase64)?;
                if key.is_empty() {
                    return Err(BadSecret::Empty);
                }
                Ok(key.into())
            }
        }
    }
}

/// Schemes of one provider and one secret; the first one that the request has a signature header for decides.
#[derive(Debug)]
pub(super) struct FirstOf(pub(super) &'static [Scheme<'static>]);

impl Provider for FirstOf {
    fn accepts(&self, secret: &str) -> Result<(), BadSecret> {
        self.0.iter().try_for_each(|scheme| scheme.accepts(secret))
    }

    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        let fits = self.0.iter().find(|scheme| scheme.is_for(incoming));
        match fits.or_else(|| self.0.first()) {
            Some(scheme) => scheme.verify(secret, incoming),
            None => Err(Unverified::Differs),
        }
    }
}
