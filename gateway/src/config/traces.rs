//! The `traces:` block.

use serde::Deserialize;

/// What is kept of the last exchanges, for `GET /traces` of the admin API, and how `traceparent` begins.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// Exchanges that each core remembers: when, for whom, where it went, how it ended. At most 10000. Default 256.
    pub kept: usize,
    /// Exchanges in a second whose policies' steps are remembered as well, which slows these few down. At most 1000.
    /// Default 0; `PUT /traces/capture` asks for more for a while.
    pub sample: u32,
    /// What a `traceparent` says that begins here, for requests that come without one. Default `sampled`.
    pub begin: Begin,
}

/// Whether services should record the traces that begin at the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Begin {
    /// They should, as they would as the first ones of their traces.
    #[default]
    Sampled,
    /// They should not, unless they decide by themselves.
    Unsampled,
    /// None begins here.
    Off,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            kept: 256,
            sample: 0,
            begin: Begin::Sampled,
        }
    }
}

// === impl Traces ===

impl Traces {
    pub(super) fn agree(&self) -> Result<(), String> {
        if self.kept > 10_000 {
            return Err("traces.kept: at most 10000 exchanges a core".into());
        }
        if self.sample > 1000 {
            return Err("traces.sample: at most 1000 exchanges a second".into());
        }
        Ok(())
    }
}
