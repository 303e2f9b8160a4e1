//! Where the policies of an agent's endpoints are written.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use adit_agent::config::{Config, Written};

use crate::policy_file;

/// Where to read.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// The endpoint of this name has its policy from a file, or none.
    File(String, Option<PathBuf>),
    /// The endpoints of these names, or all of them, are in configuration files.
    Config(Vec<PathBuf>, Option<Vec<String>>),
}

/// What is written there.
pub(super) struct Read {
    /// By endpoint; empty for none.
    pub(super) policies: BTreeMap<String, String>,
    /// What was read for it.
    pub(super) files: BTreeSet<PathBuf>,
    pub(super) written: Written,
    /// What is right and probably not what was meant.
    pub(super) warnings: Vec<String>,
}

// === impl Origin ===

impl Origin {
    /// Reads and checks everything.
    pub(super) fn read(&self) -> Result<Read, String> {
        match self {
            Self::File(name, file) => {
                let mut warnings = Vec::new();
                let policy = file
                    .as_deref()
                    .map(|file| policy_file::read(file, &mut warnings));
                let policy = policy.transpose().map_err(|failure| failure.to_string())?;
                Ok(Read {
                    policies: BTreeMap::from([(name.clone(), policy.unwrap_or_default())]),
                    files: file.iter().cloned().collect(),
                    written: Written::default(),
                    warnings,
                })
            }
            Self::Config(files, _) => {
                let config = Config::load(files).map_err(|mistake| mistake.to_string())?;
                let mut read = Read {
                    policies: BTreeMap::new(),
                    files: files.iter().cloned().collect(),
                    written: config.written,
                    warnings: config.warnings,
                };
                for endpoint in config.endpoints {
                    let policy = endpoint.options.policy().unwrap_or_default().to_owned();
                    read.policies.insert(endpoint.name().to_owned(), policy);
                    read.files.extend(endpoint.policy_file);
                }
                Ok(read)
            }
        }
    }

    /// Whether an endpoint of the configuration is, or would be, online.
    pub(super) fn wants(&self, endpoint: &str) -> bool {
        match self {
            Self::File(..) | Self::Config(_, None) => true,
            Self::Config(_, Some(names)) => names.iter().any(|name| name == endpoint),
        }
    }
}
