//! The content codings that are spoken here.

use std::fmt;

/// A content coding (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950: deflate in zlib's frame. Never the bare deflate that some software means by this name.
    Deflate,
    /// Brotli, RFC 7932.
    Br,
    /// Zstandard, RFC 8878.
    Zstd,
}

// === impl Coding ===

impl Coding {
    /// Every coding.
    pub const ALL: &'static [Self] = &[Self::Gzip, Self::Deflate, Self::Br, Self::Zstd];

    /// The coding's name in `content-encoding` and `accept-encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Reads a name, in any case; `x-gzip` is an old one of gzip (RFC 9110 §8.4.1.3).
    pub fn named(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Self::Gzip);
        }
        let is = |coding: &&Self| coding.name().as_bytes().eq_ignore_ascii_case(name);
        Self::ALL.iter().find(is).copied()
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The elements of a list in one or several header lines (RFC 9110 §5.6.1): without the spaces around them, and without
/// empty ones.
pub(super) fn elements<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = &'a [u8]> {
    lines
        .flat_map(|line| line.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_coding_is_found_by_its_name() {
        for coding in Coding::ALL {
            let loud = coding.to_string().to_ascii_uppercase();
            assert_eq!(Coding::named(loud.as_bytes()), Some(*coding));
        }
        assert_eq!(Coding::named(b"X-GZip"), Some(Coding::Gzip));
        assert_eq!(Coding::named(b"compress"), None);
        assert_eq!(Coding::named(b""), None);
    }

    #[test]
    fn a_list_may_stand_on_several_lines() {
        let lines: [&[u8]; 3] = [b"gzip , br", b"", b",\tzstd,,"];
        let list: Vec<_> = elements(lines.into_iter()).collect();
        assert_eq!(list, [&b"gzip"[..], b"br", b"zstd"]);
    }
}
