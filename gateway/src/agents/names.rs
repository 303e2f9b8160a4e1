//! Random names for endpoints whose agent asks for none.
//!
//! A name is a keyed hash of who asks, so the same agent gets the same name after a reconnect and
//! after a restart of the gateway, and nothing has to be stored.

use std::{fmt, fs, io, os::unix::fs::OpenOptionsExt, path::Path};

use adit_policy::canonical::Host;
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};

/// Names tried before giving up on finding a free one.
pub(crate) const ATTEMPTS: u8 = 16;

const ADJECTIVES: [&str; 64] = [
    "amber", "bold", "brave", "brief", "bright", "brisk", "broad", "calm", "clear", "clever",
    "cool", "crisp", "deep", "eager", "early", "easy", "fair", "fast", "fine", "firm", "fond",
    "fresh", "gentle", "glad", "golden", "grand", "green", "happy", "hardy", "honest", "humble",
    "jolly", "keen", "kind", "large", "late", "light", "lively", "loyal", "lucky", "mellow",
    "merry", "mild", "neat", "noble", "plain", "proud", "quick", "quiet", "rapid", "ready", "rich",
    "round", "sharp", "silver", "smooth", "snug", "solid", "steady", "sunny", "swift", "tidy",
    "warm", "wise",
];

const NOUNS: [&str; 64] = [
    "badger", "beacon", "beaver", "birch", "bridge", "brook", "canyon", "cedar", "cliff", "cloud",
    "comet", "copper", "coral", "crane", "creek", "delta", "dune", "eagle", "ember", "falcon",
    "fern", "field", "finch", "forest", "fox", "garden", "glacier", "granite", "grove", "harbor",
    "hawk", "heron", "hill", "island", "lake", "lantern", "lark", "maple", "marble", "meadow",
    "mole", "moon", "oak", "ocean", "otter", "owl", "pebble", "pine", "quarry", "raven", "reef",
    "ridge", "river", "robin", "shaft", "slate", "spring", "stone", "summit", "thistle", "tunnel",
    "valley", "willow", "wren",
];

/// Makes names. Holds the key, kept in the data directory.
pub(crate) struct Names {
    key: hmac::Key,
    domain: Host,
}

/// Who asks for a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) owner: &'a str,
    pub(crate) agent_id: &'a str,
    /// The endpoint's name in the agent's configuration.
    pub(crate) endpoint: &'a str,
}

// === impl Names ===

impl Names {
    /// Opens the key kept in `data_dir`, or makes one there.
    pub(crate) fn open(data_dir: &Path, domain: Host) -> io::Result<Self> {
        let path = data_dir.join("names.key");
        let key = match fs::read(&path) {
            Ok(key) if key.len() == 32 => key,
            Ok(_) => {
                return Err(io::Error::other(format!(
                    "{} is not 32 bytes",
                    path.display()
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(data_dir, &path)?,
            Err(error) => return Err(error),
        };
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            domain,
        })
    }

    /// A number that is always the same for this agent and endpoint, and nobody else's but by chance.
    pub(crate) fn number(&self, asker: Asker<'_>) -> u64 {
        let tag = self.tag(asker, &[ATTEMPTS]);
        let (first, _) = tag.as_ref().split_first_chunk().unwrap_or((&[0; 8], &[]));
        u64::from_be_bytes(*first)
    }

    /// The `attempt`-th name for this agent and endpoint.
    pub(crate) fn name(&self, asker: Asker<'_>, attempt: u8) -> Option<Host> {
        let tag = self.tag(asker, &[attempt]);
        let [a, b, c, d, e, f, ..] = *tag.as_ref() else {
            return None;
        };
        let letter =
            |byte: u8| char::from(b"abcdefghjkmnpqrstuvwxyz023456789"[usize::from(byte % 32)]);
        let (adjective, noun) = (ADJECTIVES[usize::from(a % 64)], NOUNS[usize::from(b % 64)]);
        let tail: String = [c, d, e, f].into_iter().map(letter).collect();
        Host::parse(&format!("{adjective}-{noun}-{tail}.{}", self.domain)).ok()
    }

    /// What stands for this agent and endpoint where nobody is to learn who they are.
    pub(crate) fn mark(&self, asker: Asker<'_>) -> u128 {
        let tag = self.tag(asker, b"mark");
        let bytes = tag.as_ref().iter().take(16);
        bytes.fold(0, |mark, byte| (mark << 8) | u128::from(*byte))
    }

    fn tag(&self, asker: Asker<'_>, purpose: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [asker.owner, asker.agent_id, asker.endpoint] {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.update(purpose);
        context.sign()
    }

    /// Whether a host is one of the names made for this agent and endpoint.
    pub(crate) fn is_name_of(&self, host: &Host, asker: Asker<'_>) -> bool {
        (0..ATTEMPTS).any(|attempt| self.name(asker, attempt).as_ref() == Some(host))
    }
}

fn create(data_dir: &Path, path: &Path) -> io::Result<Vec<u8>> {
    crate::data_dir::create(data_dir)?;
    let mut key = vec![0; 32];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| io::Error::other("no randomness"))?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    io::Write::write_all(&mut file, &key)?;
    Ok(key)
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_keeps_its_name_over_a_restart_and_nobody_else_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Names::open(dir.path(), Host::parse("example.com").unwrap()).unwrap();
        let asker = Asker {
            owner: "alice",
            agent_id: "laptop",
            endpoint: "web",
        };
        let name = open().name(asker, 0).unwrap();
        assert_eq!(open().name(asker, 0), Some(name.clone()));
        assert!(name.as_str().ends_with(".example.com"));
        assert!(open().is_name_of(&name, asker));
        for other in [
            Asker {
                owner: "mallory",
                ..asker
            },
            Asker {
                agent_id: "desktop",
                ..asker
            },
            Asker {
                owner: "alicel",
                agent_id: "aptop",
                ..asker
            },
        ] {
            assert!(!open().is_name_of(&name, other));
        }
    }
}
