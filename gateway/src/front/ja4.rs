//! JA4: one short text for the way a client says hello, the same for all clients of one program.
//!
//! After the public specification of JA4 (TLS client): version, SNI, counts and ALPN in the open, then the ciphers, then
//! the extensions with the signature algorithms, each sorted and hashed. Greased values (RFC 8701) are left out.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

const SERVER_NAME: u16 = 0;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// What JA4 looks at.
#[derive(Debug, Default)]
struct Hello {
    version: u16,
    ciphers: Vec<u16>,
    extensions: Vec<u16>,
    versions: Vec<u16>,
    signatures: Vec<u16>,
    /// The first protocol.
    alpn: Vec<u8>,
}

/// The fingerprint of a ClientHello in the TLS records that a client began with; `None` if that is not one.
pub(super) fn fingerprint(records: &[u8]) -> Option<String> {
    let message = handshake(records)?;
    Some(Hello::read(Bytes(&message))?.fingerprint())
}

/// The handshake message that the records carry, in one or in pieces.
fn handshake(records: &[u8]) -> Option<Vec<u8>> {
    let mut records = Bytes(records);
    let mut message = Vec::new();
    loop {
        let kind = records.u8()?;
        records.take(2)?;
        let piece = records.block16()?;
        if kind != 22 {
            return None;
        }
        message.extend_from_slice(piece.0);
        let mut whole = Bytes(&message);
        if let (Some(1), Some(length)) = (whole.u8(), whole.u24())
            && let Some(body) = whole.take(length)
        {
            return Some(body.to_vec());
        }
    }
}

// === impl Hello ===

impl Hello {
    fn read(mut bytes: Bytes<'_>) -> Option<Self> {
        let mut hello = Self {
            version: bytes.u16()?,
            ..Self::default()
        };
        bytes.take(32)?;
        bytes.block8()?;
        hello.ciphers = bytes.block16()?.numbers();
        bytes.block8()?;
        let mut extensions = match bytes.0.is_empty() {
            true => bytes,
            false => bytes.block16()?,
        };
        while !extensions.0.is_empty() {
            let kind = extensions.u16()?;
            let mut body = extensions.block16()?;
            if is_grease(kind) {
                continue;
            }
            hello.extensions.push(kind);
            match kind {
                SIGNATURE_ALGORITHMS => hello.signatures = body.block16()?.numbers(),
                SUPPORTED_VERSIONS => hello.versions = body.block8()?.numbers(),
                ALPN => hello.alpn = body.block16()?.block8()?.0.to_vec(),
                _ => {}
            }
        }
        Some(hello)
    }

    fn fingerprint(mut self) -> String {
        let version = self.versions.iter().copied().max().unwrap_or(self.version);
        let version = match version {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            _ => "00",
        };
        let name = if self.extensions.contains(&SERVER_NAME) {
            'd'
        } else {
            'i'
        };
        let (ciphers, extensions) = (self.ciphers.len().min(99), self.extensions.len().min(99));
        let alpn = ends(&self.alpn);
        self.ciphers.sort_unstable();
        self.extensions.sort_unstable();
        // They are counted, but not listed.
        self.extensions
            .retain(|kind| !matches!(*kind, SERVER_NAME | ALPN));
        let mut listed = list(&self.extensions);
        if !self.signatures.is_empty() {
            listed = format!("{listed}_{}", list(&self.signatures));
        }
        let (first, second) = (hash(&list(&self.ciphers)), hash(&listed));
        format!("t{version}{name}{ciphers:02}{extensions:02}{alpn}_{first}_{second}")
    }
}

/// The first and last letter of a protocol's name, or of its hexadecimal digits if these are no letters.
fn ends(protocol: &[u8]) -> String {
    match (protocol.first(), protocol.last()) {
        (Some(first), Some(last))
            if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() =>
        {
            [char::from(*first), char::from(*last)].iter().collect()
        }
        (Some(first), Some(last)) => format!("{:x}{:x}", first >> 4, last & 0x0f),
        _ => "00".to_owned(),
    }
}

fn list(numbers: &[u16]) -> String {
    let mut text = String::with_capacity(numbers.len() * 5);
    for number in numbers {
        let comma = if text.is_empty() { "" } else { "," };
        // A string takes everything.
        write!(text, "{comma}{number:04x}").unwrap_or_default();
    }
    text
}

/// The first twelve digits of a list's SHA-256; zeros for an empty one.
fn hash(list: &str) -> String {
    if list.is_empty() {
        return "0".repeat(12);
    }
    let digest = digest(&SHA256, list.as_bytes());
    digest
        .as_ref()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn is_grease(number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// Bytes that are read from their beginning. What is not there is `None`.
struct Bytes<'a>(&'a [u8]);

// === impl Bytes ===

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u24(&mut self) -> Option<usize> {
        Some(usize::from(self.u8()?) << 16 | usize::from(self.u16()?))
    }

    fn block8(&mut self) -> Option<Self> {
        let length = self.u8()?;
        self.take(usize::from(length)).map(Self)
    }

    fn block16(&mut self) -> Option<Self> {
        let length = self.u16()?;
        self.take(usize::from(length)).map(Self)
    }

    /// All numbers of two bytes that are no grease.
    fn numbers(mut self) -> Vec<u16> {
        let all = std::iter::from_fn(|| self.u16());
        all.filter(|number| !is_grease(*number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification, with what it leaves out: grease, and an order of its own.
    fn example() -> Hello {
        let extensions = [
            0x001b, 0, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012,
            0x002b, 0xff01, 0x000b, 0x000a, 0x0015,
        ];
        Hello {
            version: 0x0303,
            ciphers: vec![
                0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
                0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
            ],
            extensions: extensions.to_vec(),
            versions: vec![0x0304, 0x0303],
            signatures: vec![
                0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601,
            ],
            alpn: b"h2".to_vec(),
        }
    }

    /// The records of a hello, the message in pieces of this length.
    fn records(hello: &Hello, piece: usize) -> Vec<u8> {
        let short = |numbers: &[u16]| -> Vec<u8> {
            numbers
                .iter()
                .flat_map(|number| number.to_be_bytes())
                .collect()
        };
        let with_length = |bytes: Vec<u8>| [short(&[bytes.len() as u16]), bytes].concat();
        let greased = |numbers: &[u16]| short(&[&[0x3a3a], numbers].concat());
        let body = |kind: u16| match kind {
            SERVER_NAME => with_length([vec![0], with_length(b"a".to_vec())].concat()),
            SIGNATURE_ALGORITHMS => with_length(short(&hello.signatures)),
            SUPPORTED_VERSIONS => {
                let versions = greased(&hello.versions);
                [vec![versions.len() as u8], versions].concat()
            }
            ALPN => with_length([vec![hello.alpn.len() as u8], hello.alpn.clone()].concat()),
            _ => Vec::new(),
        };
        let kinds = [&[0x8a8a], &*hello.extensions].concat();
        let extensions = kinds
            .iter()
            .flat_map(|kind| [short(&[*kind]), with_length(body(*kind))].concat());
        let message = [
            short(&[hello.version]),
            vec![7; 32],
            vec![0],
            with_length(greased(&hello.ciphers)),
            vec![1, 0],
            with_length(extensions.collect()),
        ]
        .concat();
        let length = (message.len() as u32).to_be_bytes();
        let message = [&[1], &length[1..], &message].concat();
        message
            .chunks(piece)
            .flat_map(|piece| [vec![22, 3, 1], with_length(piece.to_vec())].concat())
            .collect()
    }

    #[test]
    fn the_example_of_the_specification_has_its_fingerprint() {
        let expected = "t13d1516h2_8daaf6152771_e5627efa2ab1";
        assert_eq!(example().fingerprint(), expected);
        for piece in [10_000, 100, 1] {
            let records = records(&example(), piece);
            assert_eq!(fingerprint(&records).as_deref(), Some(expected), "{piece}");
        }
    }

    #[test]
    fn what_is_missing_is_written_as_zeros() {
        let hello = Hello {
            version: 0x0302,
            ..Hello::default()
        };
        assert_eq!(hello.fingerprint(), "t11i000000_000000000000_000000000000");
        for (protocol, expected) in [
            ("http/1.1", "h1"),
            ("x", "xx"),
            ("\u{1}a\u{2}", "02"),
            ("", "00"),
        ] {
            assert_eq!(ends(protocol.as_bytes()), expected, "{protocol:?}");
        }
        assert_eq!(ends(&[0xab, 0xcd]), "ad");
    }

    #[test]
    fn half_a_hello_has_no_fingerprint_and_does_no_harm() {
        let whole = records(&example(), 10_000);
        for length in 0..whole.len() {
            assert_eq!(fingerprint(&whole[..length]), None, "{length}");
        }
        for place in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[place] ^= 0xff;
            drop(fingerprint(&wrong));
        }
    }
}
