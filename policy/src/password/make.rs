//! A new hash of a password, for whoever writes a policy.

use argon2::password_hash::PasswordHasher;
use argon2::{Argon2, Params};
use bcrypt::Version;

use super::{LENGTH, USER_MAX};
use crate::env::Random;

/// About a fifth of a second, which only whoever signs in anew waits for.
const BCRYPT_COST: u32 = 12;
/// bcrypt looks no further.
const BCRYPT_BYTES_MAX: usize = 72;
const SALT_LEN: usize = 16;

/// How a password is hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// Needs 19 MiB for each guess (RFC 9106, with the parameters that OWASP advises).
    #[default]
    Argon2id,
    /// For other programs that know nothing newer.
    Bcrypt,
}

/// A password that no policy would accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Too short or too long.
    #[error("a password has 8 to 128 characters")]
    Length,
    /// A line end, a tab: nobody can type it.
    #[error("a password holds no control characters")]
    Control,
    /// Whose it is cannot be said in a policy, or not sent by a client.
    #[error("a user has 1 to 128 bytes, and neither a colon nor control characters")]
    User,
    /// bcrypt would leave the end out.
    #[error("bcrypt looks at 72 bytes and no more: take argon2id for a longer password")]
    TooLongForBcrypt,
}

/// The hash of a password with a fresh salt, as a credential of `basic-auth` holds it.
pub fn make(
    algorithm: Algorithm,
    password: &str,
    random: &dyn Random,
) -> Result<String, BadPassword> {
    if !LENGTH.contains(&password.chars().count()) {
        return Err(BadPassword::Length);
    }
    if password.contains(char::is_control) {
        return Err(BadPassword::Control);
    }
    let mut salt = [0; SALT_LEN];
    random.fill(&mut salt);
    match algorithm {
        Algorithm::Argon2id => {
            let hasher = Argon2::from(Params::DEFAULT);
            let hash = hasher.hash_password_with_salt(password.as_bytes(), &salt);
            // With these parameters it fails for passwords of gigabytes only.
            hash.map(|hash| hash.to_string())
                .map_err(|_| BadPassword::Length)
        }
        Algorithm::Bcrypt if password.len() > BCRYPT_BYTES_MAX => {
            Err(BadPassword::TooLongForBcrypt)
        }
        Algorithm::Bcrypt => bcrypt::hash_with_salt(password, BCRYPT_COST, salt)
            .map(|parts| parts.format_for_version(Version::TwoY))
            .map_err(|_| BadPassword::TooLongForBcrypt),
    }
}

/// `user:hash` as an item of `credentials`, with the quotes: without them YAML would see a meaning in what may stand
/// there, and `${` would begin an expression.
pub fn quoted_credential(user: &str, hash: &str) -> Result<String, BadPassword> {
    let is_sound = (1..=USER_MAX).contains(&user.len());
    if !is_sound || user.contains(|c: char| c == ':' || c.is_control()) {
        return Err(BadPassword::User);
    }
    let text = format!("{user}:{hash}");
    Ok(format!(
        "'{}'",
        text.replace("${", "$${").replace('\'', "''")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::PasswordHash;
    use crate::testing::{ENV, one, policy, request};
    use crate::verdict::Verdict;

    #[test]
    fn what_is_made_is_read_and_is_of_the_password() {
        for (algorithm, prefix) in [
            (Algorithm::Argon2id, "$argon2id$v=19$m=19456,t=2,p=1$"),
            (Algorithm::Bcrypt, "$2y$12$"),
        ] {
            let text = make(algorithm, "pässwörd: ok", ENV.random()).unwrap();
            assert!(text.starts_with(prefix), "{text}");
            let hash = PasswordHash::read(&text).unwrap().unwrap();
            assert!(hash.is_of("pässwörd: ok".as_bytes()));
            assert!(!hash.is_of(b"other password"));
            assert_eq!(hash.weakness(), None);
        }
    }

    #[tokio::test]
    async fn what_is_quoted_can_be_pasted_into_a_policy() {
        use base64::Engine;
        let hash = make(Algorithm::Argon2id, "correct horse", ENV.random()).unwrap();
        for user in [
            "ada",
            "o'neil",
            "a${b}",
            "$$${",
            "# x",
            "é, [b] {c}",
            "- \"d\"",
        ] {
            let item = quoted_credential(user, &hash).unwrap();
            for list in [format!("[{item}]"), format!("\n          - {item}")] {
                let config = format!("\n          credentials: {list}");
                let text = one("on_http_request", "basic-auth", &config);
                let sent = base64::engine::general_purpose::STANDARD
                    .encode(format!("{user}:correct horse"));
                let line = http::HeaderValue::from_str(&format!("Basic {sent}")).unwrap();
                let lines = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, line)]);
                let verdict = policy(&text).on_http_request(&mut request(&lines)).await;
                assert!(matches!(verdict, Verdict::Continue), "{text}: {verdict:?}");
            }
        }
        for user in ["", "a:b", "a\nb", &"x".repeat(129)] {
            assert_eq!(
                quoted_credential(user, &hash),
                Err(BadPassword::User),
                "{user}"
            );
        }
    }

    #[test]
    fn a_password_that_no_policy_would_accept_is_refused() {
        let made = |algorithm, password: &str| make(algorithm, password, ENV.random());
        for algorithm in [Algorithm::Argon2id, Algorithm::Bcrypt] {
            for (password, reason) in [
                ("seven77", BadPassword::Length),
                ("", BadPassword::Length),
                (&"x".repeat(129), BadPassword::Length),
                ("tab\tstop", BadPassword::Control),
            ] {
                assert_eq!(made(algorithm, password), Err(reason), "{password}");
            }
        }
        let long = "ä".repeat(37);
        assert_eq!(
            made(Algorithm::Bcrypt, &long),
            Err(BadPassword::TooLongForBcrypt)
        );
        assert!(made(Algorithm::Bcrypt, &"x".repeat(72)).is_ok());
    }
}
