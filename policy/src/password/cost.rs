//! How long a hash takes to compare, as far as its parameters tell: what is too much, and what is too little.

use bcrypt::HashParts;

use super::{BadHash, argon};

/// Most memory of Argon2, in KiB.
const ARGON2_MEMORY_MAX: u32 = 256 << 10;
/// Most memory that Argon2 goes through, in KiB: memory times passes.
const ARGON2_WORK_MAX: u64 = 1 << 20;
/// Most lanes of Argon2; they are computed one after the other.
const ARGON2_LANES_MAX: u32 = 16;
/// With less than this the advice of OWASP is not followed, however memory and passes are balanced.
const ARGON2_WORK_LEAST: u64 = 7_168 * 5;
/// Highest cost of bcrypt: each step doubles the time.
const BCRYPT_COST_MAX: u32 = 15;
const BCRYPT_COST_LEAST: u32 = 10;
const ROUNDS: std::ops::RangeInclusive<u32> = 1_000..=1_000_000;
/// What a sha-crypt hash that does not say has.
const ROUNDS_DEFAULT: u32 = 5_000;
/// Longest salt of sha-crypt.
const SALT_MAX: usize = 16;

/// A hash that is cut off, or has something in it that does not belong there.
pub(super) fn broken(what: &str) -> BadHash {
    BadHash(format!("is not a whole {what} (ERR_ADIT_2258)"))
}

fn too_much(what: &str) -> BadHash {
    BadHash(format!(
        "would take too long to compare: {what} (ERR_ADIT_2215)"
    ))
}

/// Why the parameters of this Argon2 hash are weak, if they are.
pub(super) fn argon2(text: &str) -> Result<Option<&'static str>, BadHash> {
    let parts = argon::parts(text).ok_or_else(|| broken("argon2 hash of version 19"))?;
    let params = parts.params;
    let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
    match () {
        () if params.m_cost() > ARGON2_MEMORY_MAX => Err(too_much("up to 256 MiB of memory")),
        () if work > ARGON2_WORK_MAX => Err(too_much("memory times passes up to 1 GiB")),
        () if params.p_cost() > ARGON2_LANES_MAX => Err(too_much("up to 16 lanes")),
        () if work < ARGON2_WORK_LEAST => Ok(Some(
            "argon2 with so little memory and so few passes is guessed quickly: m=19456,t=2 is usual",
        )),
        () => Ok(None),
    }
}

/// The same of bcrypt.
pub(super) fn bcrypt(text: &str) -> Result<Option<&'static str>, BadHash> {
    let parts: HashParts = text.parse().map_err(|_| broken("bcrypt hash"))?;
    match parts.get_cost() {
        ..4 => Err(broken("bcrypt hash")),
        4..BCRYPT_COST_LEAST => Ok(Some(
            "bcrypt with a cost below 10 is guessed quickly: `htpasswd -B -C 12` makes a better one",
        )),
        BCRYPT_COST_LEAST..=BCRYPT_COST_MAX => Ok(None),
        _ => Err(too_much("the cost of bcrypt goes up to 15")),
    }
}

/// The same of sha-crypt.
pub(super) fn sha_crypt(text: &str) -> Result<Option<&'static str>, BadHash> {
    let broken = || broken("sha-crypt hash");
    let (length, rest) = match text.split_at_checked(3) {
        Some(("$5$", rest)) => (43, rest),
        Some(("$6$", rest)) => (86, rest),
        _ => return Err(broken()),
    };
    let (rounds, rest) = match rest.strip_prefix("rounds=") {
        Some(rest) => {
            let (rounds, rest) = rest.split_once('$').ok_or_else(broken)?;
            (rounds.parse().map_err(|_| broken())?, rest)
        }
        None => (ROUNDS_DEFAULT, rest),
    };
    let is_digit = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/';
    let (salt, hash) = rest.split_once('$').ok_or_else(broken)?;
    let is_whole = (1..=SALT_MAX).contains(&salt.len()) && hash.len() == length;
    if !is_whole || !salt.chars().chain(hash.chars()).all(is_digit) {
        return Err(broken());
    }
    match rounds {
        rounds if !ROUNDS.contains(&rounds) => {
            Err(too_much("sha-crypt has 1000 to 1000000 rounds"))
        }
        ..ROUNDS_DEFAULT => Ok(Some(
            "sha-crypt with so few rounds is guessed quickly: 5000 are usual",
        )),
        _ => Ok(None),
    }
}
