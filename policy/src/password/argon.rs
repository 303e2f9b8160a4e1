//! `$argon2id$v=19$m=…,t=…,p=…$salt$hash`: Argon2 in the PHC form. The hash says how long it is, and a hash of another
//! length is another hash, which is why it is computed here and not by the crate's own comparison.

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;

/// What a hash consists of.
pub(super) struct Parts {
    algorithm: Algorithm,
    pub(super) params: Params,
    salt: Salt,
    hash: Output,
}

/// The parts of a hash, if the text is a whole one of the version of RFC 9106.
pub(super) fn parts(text: &str) -> Option<Parts> {
    let hash = PasswordHash::new(text).ok()?;
    let algorithm = hash.algorithm.as_str().parse().ok()?;
    let is_current = hash.version == Some(Version::V0x13.into());
    Some(Parts {
        algorithm,
        params: Params::try_from(&hash).ok().filter(|_| is_current)?,
        salt: hash.salt?,
        hash: hash.hash?,
    })
}

// === impl Parts ===

impl Parts {
    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        let argon2 = Argon2::new(self.algorithm, Version::V0x13, self.params.clone());
        let expected = self.hash.as_bytes();
        let mut made = vec![0; expected.len()];
        let done = argon2.hash_password_into(password, &self.salt, &mut made);
        done.is_ok() && made.ct_eq(expected).into()
    }
}
