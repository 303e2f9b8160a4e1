//! Hashes of passwords, as policies and htpasswd files hold them: read, compared with a password, and made.
//!
//! | begins with | kind | bounds |
//! |---|---|---|
//! | `$argon2id$`, `$argon2i$` | Argon2 in the PHC form (RFC 9106) | 256 MiB; memory times passes up to 1 GiB; 16 lanes |
//! | `$2a$`, `$2b$`, `$2y$` | bcrypt | cost 4 to 15 |
//! | `$5$`, `$6$` | sha-crypt with SHA-256 and SHA-512 | 1,000 to 1,000,000 rounds |
//! | `$apr1$` | Apache's MD5, 1,000 rounds; weak | |
//! | `{SHA}` | SHA-1 without a salt; weak | |
//!
//! Whatever is beyond the bounds is refused when it is read: comparing takes up to about two seconds, never hours.

mod apr1;
mod argon;
mod cost;
mod make;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use sha_crypt::{PasswordVerifier, ShaCrypt};
use subtle::ConstantTimeEq;

pub use self::make::{Algorithm, BadPassword, make, quoted_credential};

/// How many characters a password that somebody chooses may have.
pub(crate) const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

/// Longest user name in bytes.
pub(crate) const USER_MAX: usize = 128;

/// A password that can be recognised and not read. Comparing takes milliseconds, and nothing else than that: it is for
/// a thread on which nobody waits.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    kind: Kind,
    text: Box<str>,
    weakness: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Argon2,
    Bcrypt,
    ShaCrypt,
    Apr1,
    Sha1,
}

/// Why a text is no hash although it looks like one: the end of a sentence that begins with what it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadHash(pub(super) String);

// === impl PasswordHash ===

impl PasswordHash {
    /// Reads a hash. `None`: the text does not look like one, and is a password as it stands.
    pub fn read(text: &str) -> Option<Result<Self, BadHash>> {
        let kind = match prefix(text)? {
            "$argon2id$" | "$argon2i$" => Kind::Argon2,
            "$2a$" | "$2b$" | "$2y$" => Kind::Bcrypt,
            "$5$" | "$6$" => Kind::ShaCrypt,
            "$apr1$" => Kind::Apr1,
            "{SHA}" => Kind::Sha1,
            // The prefix may be part of a password, so that it is not told.
            _ => {
                let reason = "looks like a hash of a kind that is not known: `adit config hash-password` \
                              makes one that is (ERR_ADIT_2258)";
                return Some(Err(BadHash(reason.to_owned())));
            }
        };
        let weakness = match kind {
            Kind::Argon2 => cost::argon2(text),
            Kind::Bcrypt => cost::bcrypt(text),
            Kind::ShaCrypt => cost::sha_crypt(text),
            Kind::Apr1 => apr1::parts(text)
                .map(|_| Some("apr1 is MD5, which is guessed quickly"))
                .ok_or_else(|| cost::broken("apr1 hash")),
            Kind::Sha1 => sha1_of(text)
                .map(|_| Some("{SHA} is SHA-1 without a salt, which is guessed at once"))
                .ok_or_else(|| cost::broken("{SHA} hash")),
        };
        Some(weakness.map(|weakness| Self {
            kind,
            text: text.into(),
            weakness,
        }))
    }

    /// Whether this is the password. If not, that takes as long.
    pub fn is_of(&self, password: &[u8]) -> bool {
        let text = &*self.text;
        match self.kind {
            Kind::Argon2 => argon::parts(text).is_some_and(|parts| parts.is_of(password)),
            Kind::Bcrypt => bcrypt::verify(password, text).unwrap_or(false),
            Kind::ShaCrypt => ShaCrypt::default().verify_password(password, text).is_ok(),
            Kind::Apr1 => apr1::parts(text).is_some_and(|(salt, hash)| {
                let made = apr1::hash(password, salt.as_bytes());
                made.as_bytes().ct_eq(hash.as_bytes()).into()
            }),
            Kind::Sha1 => sha1_of(text).is_some_and(|hash| {
                let made = digest(&SHA1_FOR_LEGACY_USE_ONLY, password);
                made.as_ref().ct_eq(&hash).into()
            }),
        }
    }

    /// Why whoever sees the hash finds the password sooner than need be; `None` if that is hard.
    pub fn weakness(&self) -> Option<&'static str> {
        self.weakness
    }

    /// The hash as it was read.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

/// `$kind$` or `{KIND}`, if a text begins with it and goes on.
fn prefix(text: &str) -> Option<&str> {
    let (begin, end) = match text.as_bytes().first()? {
        b'$' => ('$', '$'),
        b'{' => ('{', '}'),
        _ => return None,
    };
    let (kind, rest) = text.strip_prefix(begin)?.split_once(end)?;
    let is_kind = |c: char| match begin {
        '{' => c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-',
        _ => c.is_ascii_alphanumeric() || c == '-' || c == '_',
    };
    let is_prefix = !kind.is_empty() && kind.chars().all(is_kind) && !rest.is_empty();
    is_prefix.then(|| text.split_at(kind.len() + 2).0)
}

fn sha1_of(text: &str) -> Option<[u8; 20]> {
    let hash = STANDARD.decode(text.strip_prefix("{SHA}")?).ok()?;
    hash.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash, its password, and whether it is weak. Made by openssl, libxcrypt and the reference implementation of
    /// Argon2.
    const VECTORS: &[(&str, &str, bool)] = &[
        (
            "$apr1$abcdefgh$sIQmFnT1CuEXAsyjuXjUX/",
            "correct horse",
            true,
        ),
        (
            "$apr1$x$kSfcK2ugQQbAp2t3CBiuh0",
            "a much longer password than sixteen bytes, äöü",
            true,
        ),
        ("{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=", "correct horse", true),
        (
            "$5$saltstring$vc6YOOogU4kWVvwga8e9zTFgKcy4tb5LaPxIiPJzqEC",
            "correct horse",
            false,
        ),
        (
            "$6$saltstring$.r0X7ub5wGR2v4Xz7svCIozfnlorFh19V89t8KC9Umd81uGhFgsyTRNyzQDXDIm17fFcR9z3z7oBNdsyYBbtm/",
            "correct horse",
            false,
        ),
        (
            "$5$rounds=1000$roundstoolow$O58/4s2VxGRYbUjyOtSLr3/VPdHji0cZ5vteQVgNO3/",
            "correct horse",
            true,
        ),
        (
            "$6$rounds=10000$saltstringsaltst$uWkfitxWIj/pKw1nBSBgiQR8Pwbr7IMycYT33N8JITrE33DUmC8bV6rVVtFeP/iZRI3xx58jHgvVgQRG8FBmF/",
            "correct horse",
            false,
        ),
        (
            "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
            "correct horse",
            true,
        ),
        (
            "$2b$10$abcdefghijklmnopqrstuu23JPZtHcGhwXSF41f93o/7vBdDut3Xu",
            "correct horse",
            false,
        ),
        (
            "$2a$05$CCCCCCCCCCCCCCCCCCCCC.WrAwgFxicHZ3kL7zMvXYXHKosDn8ot2",
            "correct horse",
            true,
        ),
        (
            "$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG",
            "password",
            false,
        ),
        (
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "password",
            false,
        ),
        (
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "password",
            true,
        ),
    ];

    #[test]
    fn bcrypt_looks_at_72_bytes_as_it_does_everywhere() {
        let hash = hash("$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i");
        assert!(hash.is_of("x".repeat(80).as_bytes()) && hash.is_of("x".repeat(72).as_bytes()));
        assert!(!hash.is_of("x".repeat(71).as_bytes()));
    }

    fn hash(text: &str) -> PasswordHash {
        PasswordHash::read(text).unwrap().unwrap()
    }

    fn refused(text: &str) -> String {
        PasswordHash::read(text).unwrap().unwrap_err().to_string()
    }

    #[test]
    fn what_other_programs_make_is_understood() {
        for (text, password, is_weak) in VECTORS {
            let hash = hash(text);
            assert!(hash.is_of(password.as_bytes()), "{text}");
            for wrong in [
                "",
                "wrong",
                &format!("{password} "),
                &password.to_uppercase(),
            ] {
                assert!(!hash.is_of(wrong.as_bytes()), "{text}: {wrong}");
            }
            assert_eq!(hash.weakness().is_some(), *is_weak, "{text}");
            assert!(!format!("{hash:?}").contains(text.get(7..).unwrap()));
        }
    }

    #[test]
    fn what_does_not_look_like_a_hash_is_a_password() {
        for text in [
            "correct horse",
            "$ecret pa$$word",
            "$",
            "$$",
            "$2y$",
            "{SHA}",
            "{}",
            "{sha}abc",
            "${battery}",
            "{a password}",
            "2y$10$abc",
            "",
        ] {
            assert_eq!(PasswordHash::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_hash_of_an_unknown_kind_is_refused_and_not_quoted() {
        for text in [
            "$1$abc$def",
            "$y$j9T$abc$def",
            "$2x$10$abc",
            "$2$10$abc",
            "$argon2d$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
            "$pbkdf2-sha256$29000$abc$def",
            "$P$Babc",
            "{SSHA}abcdef",
            "{BLF-CRYPT}$2y$10$abc",
            "$hunter2$hunter2",
        ] {
            let told = refused(text);
            assert!(
                told.starts_with("looks like a hash of a kind that is not known"),
                "{text}"
            );
            assert!(!told.contains("hunter2") && !told.contains("abc"), "{told}");
        }
    }

    #[test]
    fn a_hash_that_is_not_whole_is_refused() {
        for (text, _, _) in VECTORS {
            for broken in [
                &text[..text.len() - 1],
                &format!("{text}!"),
                &format!("{text} "),
                &text.replacen("$v=19", "", 1).replacen("p=", "q=", 1),
                &format!("{}é", &text[..text.len() - 2]),
            ] {
                if broken == *text {
                    continue;
                }
                let Some(read) = PasswordHash::read(broken) else {
                    panic!("{broken} is taken for a password");
                };
                let Err(told) = read.map_err(|reason| reason.to_string()) else {
                    panic!("{broken} is taken for whole");
                };
                assert!(told.contains("is not a whole"), "{broken}: {told}");
                assert!(told.ends_with("(ERR_ADIT_2258)"), "{told}");
            }
        }
    }

    #[test]
    fn a_hash_that_would_take_too_long_is_refused() {
        let b64 = "c2FsdHNhbHQ$aGFzaGhhc2hoYXNo";
        let bcrypt = "eUcmHDMHkHuqVzPvLzJ7IeEGB8XVRBdL5E1QWzYjWwaOJ0kZKcRJm";
        let sha = "saltsalt$".to_owned() + &"A".repeat(43);
        for (text, limit) in [
            (format!("$argon2id$v=19$m=262145,t=1,p=1${b64}"), "256 MiB"),
            (format!("$argon2id$v=19$m=262144,t=5,p=1${b64}"), "1 GiB"),
            (
                format!("$argon2id$v=19$m=8192,t=4294967295,p=1${b64}"),
                "1 GiB",
            ),
            (format!("$argon2i$v=19$m=8192,t=1,p=17${b64}"), "16 lanes"),
            (format!("$2y$16${bcrypt}"), "up to 15"),
            (format!("$2b$31${bcrypt}"), "up to 15"),
            (format!("$5$rounds=1000001${sha}"), "1000 to 1000000 rounds"),
            (format!("$5$rounds=999${sha}"), "1000 to 1000000 rounds"),
        ] {
            let told = refused(&text);
            assert!(told.contains(limit), "{text}: {told}");
            assert!(told.ends_with("(ERR_ADIT_2215)"), "{told}");
        }
        assert!(
            PasswordHash::read(&format!("$2y$15${bcrypt}"))
                .unwrap()
                .is_ok()
        );
        assert!(
            PasswordHash::read(&format!("$5$rounds=1000000${sha}"))
                .unwrap()
                .is_ok()
        );
        let strong = format!("$argon2id$v=19$m=262144,t=4,p=1${b64}");
        assert!(PasswordHash::read(&strong).unwrap().is_ok());
    }
}
