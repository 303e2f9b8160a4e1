//! What is remembered of one exchange. Never bodies, nor the values of headers that are secret.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use adit_policy::{trace::Trace, verdict::Place};

use crate::http::TraceId;

/// Bytes of a path that are kept.
const PATH: usize = 256;

/// One exchange. Texts are buffers that are used again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) number: u64,
    pub(crate) began: Option<SystemTime>,
    pub(crate) took: Duration,
    pub(crate) client: Option<IpAddr>,
    pub(crate) method: String,
    pub(crate) scheme: &'static str,
    pub(crate) host: String,
    /// Without the query, and cut.
    pub(crate) path: String,
    pub(crate) status: Option<u16>,
    /// The number in `ERR_ADIT_…`, as text.
    pub(crate) error: String,
    /// The id of the endpoint that the request was for, or nothing.
    pub(crate) endpoint: String,
    /// The id of the one that served it, if it was forwarded.
    pub(crate) served_by: String,
    /// The agent's name.
    pub(crate) agent: String,
    pub(crate) member: Option<u64>,
    pub(crate) tries: Vec<Try>,
    /// The last word of a policy, and whose it was.
    pub(crate) verdict: Option<(&'static str, Place)>,
    pub(crate) trace_id: Option<TraceId>,
    /// What each policy did, the outermost first; only if somebody has asked for it.
    pub(crate) steps: Vec<Steps>,
}

/// A member that was tried in vain.
#[derive(Debug, Clone)]
pub(crate) struct Try {
    pub(crate) member: u64,
    pub(crate) why: &'static str,
}

/// What one policy did.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    /// The id of its endpoint.
    pub(crate) endpoint: String,
    /// Whose policy it is, if it is an agent's.
    pub(crate) agent: Option<String>,
    pub(crate) trace: Trace,
}

// === impl Record ===

impl Record {
    /// Forgets what was there and keeps the room.
    pub(super) fn begin(&mut self) {
        let mut old = std::mem::take(self);
        let texts = [
            &mut old.method,
            &mut old.host,
            &mut old.path,
            &mut old.error,
            &mut old.endpoint,
            &mut old.served_by,
            &mut old.agent,
        ];
        texts.into_iter().for_each(String::clear);
        old.tries.clear();
        *self = Self {
            method: old.method,
            host: old.host,
            path: old.path,
            error: old.error,
            endpoint: old.endpoint,
            served_by: old.served_by,
            agent: old.agent,
            tries: old.tries,
            ..Self::default()
        };
    }

    pub(crate) fn set_path(&mut self, path: &str) {
        let end = path.floor_char_boundary(PATH);
        self.path.push_str(path.get(..end).unwrap_or_default());
    }
}
