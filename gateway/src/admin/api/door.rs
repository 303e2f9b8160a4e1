//! Who may use the admin API: whoever shows one of two tokens.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use http::{HeaderMap, header};

use super::{super::resources::TOKEN_FILE as FILE, problem::Problem};
use crate::{
    agents::Credentials,
    config, data_dir,
    token::{self, TokenHash},
};

/// Knows the tokens by their hashes.
#[derive(Debug)]
pub(crate) struct Door {
    configured: Option<TokenHash>,
    local: TokenHash,
}

/// Whose token it was, for the log of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Somebody who may read the data directory.
    Local,
    /// Whoever has the token of `api.token_hash`.
    Configured,
}

// === impl Door ===

impl Door {
    /// Makes a new local token and puts it where only the gateway's own user can read it.
    ///
    /// # Errors
    /// When the data directory cannot be written.
    pub(crate) fn open(config: &config::Api, data_dir: &Path) -> io::Result<Self> {
        let (token, local) = token::generate();
        data_dir::create(data_dir)?;
        let (file, fresh) = (data_dir.join(FILE), data_dir.join(".api.token.new"));
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut writing = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?;
        writing.write_all(token.as_bytes())?;
        writing.write_all(b"\n")?;
        fs::rename(&fresh, &file)?;
        Ok(Self {
            configured: config.token_hash.clone(),
            local,
        })
    }

    /// Lets a request in that shows a token. How long it takes tells nothing about the tokens there are.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        agents: &Credentials,
    ) -> Result<Caller, Problem> {
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let line = lines.next().ok_or_else(Problem::no_token)?;
        let token = match (line.to_str(), lines.next()) {
            (Ok(line), None) => bearer(line),
            _ => None,
        };
        let token = token.ok_or_else(Problem::malformed_token)?;
        let local = self.local.is_of(token);
        let configured = self.configured.as_ref().map(|hash| hash.is_of(token));
        match (local, configured) {
            (true, _) => Ok(Caller::Local),
            (_, Some(true)) => Ok(Caller::Configured),
            _ if agents.authenticate(token).is_ok() => Err(Problem::authtoken()),
            _ => Err(Problem::wrong_token()),
        }
    }
}

/// RFC 6750 §2.1; the scheme's case does not matter.
fn bearer(line: &str) -> Option<&str> {
    let (scheme, token) = line.split_once(' ')?;
    let plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && plain).then_some(token)
}

// === impl Caller ===

impl Caller {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Local => "the local token",
            Self::Configured => "the token of api.token_hash",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_local_token_is_new_each_time_and_nobody_elses_to_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let dir = folder.path().join("data");
        let read = || fs::read_to_string(dir.join(FILE)).unwrap();
        let first = Door::open(&config::Api::default(), &dir).unwrap();
        let token = read();
        assert!(first.local.is_of(token.trim_end()));
        let mode = fs::metadata(dir.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Door::open(&config::Api::default(), &dir).unwrap();
        assert_ne!(read(), token);
        assert!(!second.local.is_of(token.trim_end()));
    }

    #[test]
    fn a_bearer_token_is_one_word() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer abc"), Some("abc"));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Basic abc",
            "Bearer a b",
            "Bearer  a",
            "abc",
        ] {
            assert_eq!(bearer(wrong), None, "{wrong}");
        }
    }
}
