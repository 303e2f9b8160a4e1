//! The last differences between services and mirrors, for the operator to look at.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use serde::{Serialize, Serializer};

use crate::moment;

/// So many are kept, of all mirrors together.
const KEPT: usize = 64;

/// One difference. Nothing of what the answers say is in it, only where they differ.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MirrorReport {
    /// When it was found.
    #[serde(serialize_with = "moment")]
    pub(crate) at: SystemTime,
    /// The trace that the request is part of, if it is part of one.
    pub(crate) trace_id: Option<String>,
    /// The endpoint whose policy mirrors.
    pub(crate) endpoint: String,
    /// The mirror's name.
    pub(crate) mirror: String,
    /// The endpoint that got the copy.
    pub(crate) url: String,
    /// The request's method.
    pub(crate) method: String,
    /// The path that the copy asked for, without the query; nothing of a secret.
    pub(crate) path: String,
    /// What differs, or why there was no answer.
    pub(crate) finding: String,
    /// The service's status, if it answered.
    pub(crate) status: Option<u16>,
    /// The other endpoint's.
    pub(crate) mirror_status: Option<u16>,
    /// How long the service took, from the request's end to the answer's header.
    #[serde(rename = "micros", serialize_with = "micros")]
    pub(crate) took: Option<Duration>,
    /// How long the other endpoint took.
    #[serde(rename = "mirror_micros", serialize_with = "micros")]
    pub(crate) mirror_took: Option<Duration>,
}

/// A store that forgets the oldest.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<MirrorReport>>);

// === impl Recent ===

impl Recent {
    pub(super) fn add(&self, report: MirrorReport) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(report);
    }

    pub(super) fn list(&self) -> Vec<MirrorReport> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }
}

fn moment<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&moment::millis(*at))
}

fn micros<S: Serializer>(took: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    let micros = took.and_then(|took| u64::try_from(took.as_micros()).ok());
    micros.serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let recent = Recent::default();
        for number in 0..KEPT + 3 {
            recent.add(MirrorReport {
                at: SystemTime::UNIX_EPOCH,
                trace_id: None,
                endpoint: String::new(),
                mirror: String::new(),
                url: String::new(),
                method: String::new(),
                path: number.to_string(),
                finding: String::new(),
                status: None,
                mirror_status: None,
                took: None,
                mirror_took: None,
            });
        }
        let list = recent.list();
        let paths = list.first().map(|first| first.path.as_str());
        assert_eq!((list.len(), paths), (KEPT, Some("3")));
    }
}
