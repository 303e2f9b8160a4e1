//! What stands in the configuration's files at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::config::{Config, ConfigError, Origin};

/// The texts of `gateway.yaml` and of the policy files it names, or why they cannot be read.
///
/// Equal texts mean that there is nothing to do, and that nothing was left unsaid.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Texts(BTreeMap<PathBuf, Result<Arc<str>, Unreadable>>);

#[derive(Clone, PartialEq, Eq)]
struct Unreadable {
    kind: io::ErrorKind,
    message: String,
}

// === impl Texts ===

impl Texts {
    /// Reads `gateway.yaml`, and the policy files if it can be understood.
    pub(super) fn read(file: &Path) -> (Self, Result<Config, ConfigError>) {
        let mut texts = Self::default();
        texts.add(file);
        let config = texts
            .get(file)
            .and_then(|text| Config::parse(file, Arc::clone(text)));
        if let Ok(config) = &config {
            texts.add_policies(config);
        }
        (texts, config)
    }

    /// Reads only the policy files of a configuration.
    pub(super) fn around(config: &Config) -> Self {
        let mut texts = Self::default();
        if let Some(Origin { file, text }) = &config.origin {
            texts.0.insert(file.clone(), Ok(Arc::clone(text)));
        }
        texts.add_policies(config);
        texts
    }

    /// What was read of a file.
    pub(super) fn get(&self, file: &Path) -> Result<&Arc<str>, ConfigError> {
        let (kind, message) = match self.0.get(file) {
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
        self.0.keys().cloned().collect()
    }

    fn add_policies(&mut self, config: &Config) {
        for entry in &config.endpoints {
            if let Some(file) = &entry.traffic_policy_file {
                self.add(file);
            }
        }
    }

    fn add(&mut self, file: &Path) {
        let text = std::fs::read_to_string(file)
            .map(Arc::from)
            .map_err(|error| Unreadable {
                kind: error.kind(),
                message: error.to_string(),
            });
        self.0.insert(file.to_owned(), text);
    }
}
