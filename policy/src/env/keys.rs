//! The gateway's keys: what seals cookies and states, and what signs assertions.

mod signing;

use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};

use serde::Serialize;
use serde_json::{Value, json};

pub use self::signing::SigningKey;
use super::Random;

/// Bytes of a sealing key.
const KEY_LEN: usize = 32;
/// Bytes that name the key in front of what it has sealed.
const ID_LEN: usize = 4;

/// Lends keys; they change when they are rotated.
pub trait Keyring: fmt::Debug + Send + Sync {
    /// The keys as they are now.
    fn keys(&self) -> Arc<Keys>;
}

/// Keys of one moment: the first of each kind is used. What the other sealing keys have sealed still opens, and the
/// other signing keys are published: what they have signed still lives, or their turn comes soon.
pub struct Keys {
    sealing: Vec<Sealing>,
    signing: Vec<SigningKey>,
}

struct Sealing {
    id: [u8; ID_LEN],
    key: LessSafeKey,
}

/// A key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadKey(pub &'static str);

/// Keys that live as long as the process, made when they are first asked for.
#[derive(Debug)]
pub struct OwnKeys {
    random: Arc<dyn Random>,
    made: OnceLock<Arc<Keys>>,
}

// === impl Keys ===

impl Keys {
    /// Sealing keys of these bytes, the one that seals first.
    ///
    /// # Errors
    /// When there is none, or one has not 32 bytes.
    pub fn new(sealing: &[&[u8]]) -> Result<Self, BadKey> {
        let sealing = sealing.iter().map(|bytes| Sealing::new(bytes));
        let sealing: Vec<_> = sealing.collect::<Result<_, _>>()?;
        match sealing.is_empty() {
            true => Err(BadKey("there is no sealing key")),
            false => Ok(Self {
                sealing,
                signing: Vec::new(),
            }),
        }
    }

    /// The same with these signing keys, the one that signs first.
    pub fn signing(self, signing: Vec<SigningKey>) -> Self {
        Self { signing, ..self }
    }

    /// A compact JWS (RFC 7515) of these claims, ES256; `None` if there is no key to sign with.
    pub fn sign(&self, claims: &impl Serialize) -> Option<String> {
        self.signing.first()?.sign(claims)
    }

    /// The name of the key that signs: what was signed with another may be out of date.
    pub fn signing_id(&self) -> &str {
        self.signing.first().map_or("", SigningKey::id)
    }

    /// The public halves of all signing keys, as a JSON Web Key Set (RFC 7517 §5).
    pub fn jwks(&self) -> String {
        let keys: Vec<Value> = self.signing.iter().map(SigningKey::jwk).collect();
        json!({ "keys": keys }).to_string()
    }

    /// Encrypts and authenticates (AES-256-GCM), as text for cookies and URLs. It opens with the same `context` only.
    pub fn seal(&self, context: &[u8], plain: &[u8], random: &dyn Random) -> String {
        let Some(sealing) = self.sealing.first() else {
            return String::new();
        };
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let mut sealed = plain.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let done = sealing
            .key
            .seal_in_place_append_tag(unique, Aad::from(context), &mut sealed);
        // It fails for plain texts of gigabytes only; nothing opens what comes of it then.
        if done.is_err() {
            sealed.clear();
        }
        URL_SAFE_NO_PAD.encode([&sealing.id[..], &nonce, &sealed].concat())
    }

    /// What was sealed with one of the keys in this context.
    pub fn open(&self, context: &[u8], sealed: &str) -> Option<Vec<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (id, rest) = bytes.split_at_mut_checked(ID_LEN)?;
        let (nonce, text) = rest.split_at_mut_checked(NONCE_LEN)?;
        let sealing = self.sealing.iter().find(|key| key.id == *id)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = sealing.key.open_in_place(nonce, Aad::from(context), text);
        plain.ok().map(|plain| plain.to_vec())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

// === impl Sealing ===

impl Sealing {
    fn new(bytes: &[u8]) -> Result<Self, BadKey> {
        let key = UnboundKey::new(&AES_256_GCM, bytes);
        let key = key.map_err(|_| BadKey("a sealing key has 32 bytes"))?;
        let mut id = [0; ID_LEN];
        let name = digest(&SHA256, &[b"adit sealing key", bytes].concat());
        for (to, from) in id.iter_mut().zip(name.as_ref()) {
            *to = *from;
        }
        Ok(Self {
            id,
            key: LessSafeKey::new(key),
        })
    }
}

// === impl OwnKeys ===

impl OwnKeys {
    /// Keys that nobody has had before.
    pub fn new(random: Arc<dyn Random>) -> Self {
        let made = OnceLock::new();
        Self { random, made }
    }
}

impl Keyring for OwnKeys {
    fn keys(&self) -> Arc<Keys> {
        let make = || {
            let mut bytes = [0; KEY_LEN];
            self.random.fill(&mut bytes);
            let sealing = Sealing::new(&bytes).into_iter().collect();
            // Without one, nothing is signed, and whoever wants it is told.
            let signing = SigningKey::generate().and_then(|key| SigningKey::from_pkcs8(&key));
            let signing = signing.into_iter().collect();
            Arc::new(Keys { sealing, signing })
        };
        Arc::clone(self.made.get_or_init(make))
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;
    use crate::testing::ENV;

    #[test]
    fn what_is_sealed_opens_in_its_context_with_its_key_and_nowhere_else() {
        let (old, new) = ([1; KEY_LEN], [2; KEY_LEN]);
        let before = Keys::new(&[&old]).unwrap();
        let after = Keys::new(&[&new, &old]).unwrap();
        let sealed = before.seal(b"app", b"who", ENV.random());
        assert_eq!(before.open(b"app", &sealed).unwrap(), b"who");
        assert_eq!(after.open(b"app", &sealed).unwrap(), b"who");
        assert_eq!(before.open(b"other", &sealed), None);
        assert_eq!(Keys::new(&[&new]).unwrap().open(b"app", &sealed), None);
        for at in 0..sealed.len() {
            let mut altered = sealed.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert_eq!(before.open(b"app", &altered), None, "{at}");
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert_eq!(
            Keys::new(&[&[1; 16]]).unwrap_err().to_string(),
            "a sealing key has 32 bytes"
        );
        assert!(Keys::new(&[]).is_err());
    }

    #[test]
    fn what_is_signed_is_verified_with_the_key_of_the_set_that_it_names() {
        let [old, new] =
            [(); 2].map(|()| SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap());
        let ids = [new.id().to_owned(), old.id().to_owned()];
        let keys = Keys::new(&[&[1; KEY_LEN]]).unwrap().signing(vec![new, old]);
        let token = keys.sign(&json!({ "sub": "alice" })).unwrap();
        let [header, claims, signature] = &token.split('.').collect::<Vec<_>>()[..] else {
            panic!("{token}");
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let header: Value = serde_json::from_slice(&decode(header)).unwrap();
        assert_eq!(
            header,
            json!({ "alg": "ES256", "kid": ids[0], "typ": "JWT" })
        );
        assert_eq!(decode(claims), br#"{"sub":"alice"}"#);
        let set: Value = serde_json::from_str(&keys.jwks()).unwrap();
        assert_eq!(set["keys"].as_array().unwrap().len(), 2);
        for (key, id) in set["keys"].as_array().unwrap().iter().zip(&ids) {
            assert_eq!(key["kid"], **id);
            assert!(key.get("d").is_none(), "the private half stays here");
            let coordinate = |name: &str| decode(key[name].as_str().unwrap());
            let point = [vec![4], coordinate("x"), coordinate("y")].concat();
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            let signed = token.rsplit_once('.').unwrap().0;
            let verified = public.verify(signed.as_bytes(), &decode(signature));
            assert_eq!(verified.is_ok(), *id == ids[0]);
        }
    }

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        // The members in this order and without spaces: RFC 7638 §3.
        let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        let jwk = key.jwk();
        let members = format!(
            r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#,
            jwk["x"], jwk["y"]
        );
        let hash = digest(&SHA256, members.as_bytes());
        assert_eq!(key.id(), URL_SAFE_NO_PAD.encode(hash));
        assert_eq!(format!("{key:?}"), format!("SigningKey({:?})", key.id()));
    }

    #[test]
    fn no_key_signs_nothing() {
        let keys = Keys::new(&[&[1; KEY_LEN]]).unwrap();
        assert_eq!(keys.sign(&json!({})), None);
        assert_eq!(keys.jwks(), r#"{"keys":[]}"#);
        assert!(SigningKey::from_pkcs8(b"no key").is_err());
    }
}
