//! Where the policies and weights of an agent's endpoints are written.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use adit_agent::{
    EndpointOptions,
    config::{Config, Written},
};

use super::Wanted;
use crate::policy_file;

/// Where to read.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// The endpoint has its policy from a file, or none, and its weight from the command line.
    File(Box<EndpointOptions>, Option<PathBuf>),
    /// The endpoints of these names, or all of them, are in configuration files.
    Config(Vec<PathBuf>, Option<Vec<String>>),
}

/// What is written there.
pub(super) struct Read {
    /// By endpoint.
    pub(super) wanted: BTreeMap<String, Wanted>,
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
            Self::File(options, file) => {
                let mut warnings = Vec::new();
                let policy = file
                    .as_deref()
                    .map(|file| policy_file::read(file, &mut warnings));
                let policy = policy.transpose().map_err(|failure| failure.to_string())?;
                let wanted = Wanted {
                    policy: policy.unwrap_or_default(),
                    ..Wanted::of(options)
                };
                Ok(Read {
                    wanted: BTreeMap::from([(options.name().to_owned(), wanted)]),
                    files: file.iter().cloned().collect(),
                    written: Written::default(),
                    warnings,
                })
            }
            Self::Config(files, _) => {
                let config = Config::load(files).map_err(|mistake| mistake.to_string())?;
                let mut read = Read {
                    wanted: BTreeMap::new(),
                    files: files.iter().cloned().collect(),
                    written: config.written,
                    warnings: config.warnings,
                };
                for endpoint in config.endpoints {
                    let wanted = Wanted::of(&endpoint.options);
                    read.wanted.insert(endpoint.name().to_owned(), wanted);
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
