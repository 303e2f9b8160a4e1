//! What is counted of the connections of tcp endpoints.

use std::sync::atomic::{AtomicU64, Ordering};

/// How connections end.
pub(super) const ENDS: [&str; 6] = ["done", "refused", "unserved", "broken", "idle", "ended"];

/// How a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides have said everything.
    Done,
    /// A policy did not let it in.
    Refused,
    /// Nobody could be reached who serves it.
    Unserved,
    /// One side broke it off, or its agent was lost.
    Broken,
    /// Nothing passed for too long.
    Idle,
    /// It lost its permission while it ran.
    Ended,
}

/// What has happened at one endpoint, or at several that are told as one.
#[derive(Debug, Default)]
pub(crate) struct TcpCounts {
    ends: [AtomicU64; ENDS.len()],
    came: AtomicU64,
    went: AtomicU64,
}

// === impl TcpCounts ===

impl TcpCounts {
    /// A connection has ended, after so many bytes from its client and to it.
    pub(super) fn ended(&self, end: End, (came, went): (u64, u64)) {
        if let Some(counter) = self.ends.get(end as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.came.fetch_add(came, Ordering::Relaxed);
        self.went.fetch_add(went, Ordering::Relaxed);
    }

    /// Connections by how they ended.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.ends.iter().map(|count| count.load(Ordering::Relaxed));
        ENDS.into_iter().zip(counts)
    }

    /// Bytes of ended connections, from clients and to clients.
    pub(crate) fn bytes(&self) -> [(&'static str, u64); 2] {
        let count = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed);
        [("in", count(&self.came)), ("out", count(&self.went))]
    }
}

// === impl End ===

impl End {
    /// The word for logs and metrics.
    pub(super) fn name(self) -> &'static str {
        ENDS.get(self as usize).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_own_word() {
        let counts = TcpCounts::default();
        counts.ended(End::Ended, (1, 2));
        counts.ended(End::Done, (10, 20));
        let told: Vec<_> = counts.ends().filter(|(_, count)| *count > 0).collect();
        assert_eq!(told, [("done", 1), ("ended", 1)]);
        assert_eq!(counts.bytes(), [("in", 11), ("out", 22)]);
        assert_eq!(End::Broken.name(), "broken");
    }
}
