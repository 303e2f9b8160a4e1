//! What stands in the configuration's files at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ring::digest::{SHA256, digest};

use crate::config::{Config, ConfigError, Origin};

/// The texts of `gateway.yaml` and of the policy files it names, or why they cannot be read; and what the files with
/// certificates and keys hold.
///
/// Equal texts mean that there is nothing to do, and that nothing was left unsaid.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Texts {
    all: BTreeMap<PathBuf, Result<Arc<str>, Unreadable>>,
    others: BTreeMap<PathBuf, Contents>,
}

/// What tells the contents of a file from others, and does not keep them: it may be a key.
pub(super) type Contents = Result<[u8; 32], Unreadable>;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    kind: io::ErrorKind,
    message: String,
}

// === impl Texts ===

impl Texts {
    /// Reads `gateway.yaml`, and the files it names if it can be understood.
    pub(super) fn read(file: &Path) -> (Self, Result<Config, ConfigError>) {
        let mut texts = Self::default();
        texts.add(file);
        let config = texts
            .get(file)
            .and_then(|text| Config::parse(file, Arc::clone(text)));
        if let Ok(config) = &config {
            texts.add_named(config);
        }
        (texts, config)
    }

    /// Reads only the files that a configuration names.
    pub(super) fn around(config: &Config) -> Self {
        let mut texts = Self::default();
        if let Some(Origin { file, text }) = &config.origin {
            texts.all.insert(file.clone(), Ok(Arc::clone(text)));
        }
        texts.add_named(config);
        texts
    }

    /// What was read of a file.
    pub(super) fn get(&self, file: &Path) -> Result<&Arc<str>, ConfigError> {
        let (kind, message) = match self.all.get(file) {
            Some(Ok(text)) => return Ok(text),
            Some(Err(error)) => (error.kind, error.message.as_str()),
            None => (io::ErrorKind::NotFound, "it was not there"),
        };
        Err(ConfigError::Read {
            path: file.to_owned(),
            source: io::Error::new(kind, message),
        })
    }

    /// The files, readable or not.
    pub(super) fn files(&self) -> BTreeSet<PathBuf> {
        self.all.keys().chain(self.others.keys()).cloned().collect()
    }

    /// What a file with certificates or a key holds.
    pub(super) fn contents(&self, file: &Path) -> Contents {
        let known = self.others.get(file).cloned();
        known.unwrap_or_else(|| contents(file))
    }

    /// Reads what the configuration names.
    fn add_named(&mut self, config: &Config) {
        for entry in &config.endpoints {
            if let Some(file) = &entry.traffic_policy_file {
                self.add(file);
            }
        }
        let certificates = config.tls.certificates.iter();
        let pairs = certificates.flat_map(|entry| [&entry.cert, &entry.key]);
        for file in pairs.chain(&config.fetch.ca_files) {
            self.others.insert(file.clone(), contents(file));
        }
    }

    fn add(&mut self, file: &Path) {
        let text = std::fs::read_to_string(file);
        let text = text.map(Arc::from).map_err(Unreadable::from);
        self.all.insert(file.to_owned(), text);
    }
}

fn contents(file: &Path) -> Contents {
    let mut contents = [0; 32];
    contents.copy_from_slice(digest(&SHA256, &std::fs::read(file)?).as_ref());
    Ok(contents)
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.to_string(),
        }
    }
}
