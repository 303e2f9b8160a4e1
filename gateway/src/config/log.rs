//! The `log:` block.

use std::path::Path;

use serde::Deserialize;

pub use crate::log::{Field, LineFormat, Sink};

/// What the gateway writes down. The log of its own doings is set by the flags `--log…`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// One line for each exchange.
    pub access: Access,
}

/// The access log. Its file is opened anew at SIGHUP, so that it can be moved away; a disk that is too slow costs lines,
/// which are counted, and never time of an exchange.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// `stdout`, the path of a file, or `false`. Default `false`.
    pub to: Sink,
    /// `json`, one object a line, or `text`, with `key=value` pairs. Default `json`.
    pub format: LineFormat,
    /// What a line tells, in this order. Default: everything that tells no secrets and no names of people; the page
    /// `docs/access-log.md` has the list.
    pub fields: Vec<Field>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            to: Sink::Off,
            format: LineFormat::Json,
            fields: Field::USUAL.to_vec(),
        }
    }
}

// === impl Log ===

impl Log {
    /// Paths are relative to the configuration file.
    pub(super) fn resolve(&mut self, base: &Path) {
        if let Sink::File(path) = &mut self.access.to {
            *path = base.join(&path);
        }
    }

    pub(super) fn agree(&self) -> Result<(), String> {
        match self.access.fields.is_empty() {
            true => Err(
                "log.access.fields: a line needs a field; leave the list out for the usual ones"
                    .into(),
            ),
            false => Ok(()),
        }
    }
}
