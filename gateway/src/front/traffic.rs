//! How much a connection has carried.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes each way. One task counts; any may look.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    came: AtomicU64,
    went: AtomicU64,
}

impl Traffic {
    /// So many bytes came from the client.
    pub(super) fn came(&self, bytes: usize) {
        add(&self.came, bytes);
    }

    /// So many bytes went to the client.
    pub(super) fn went(&self, bytes: usize) {
        add(&self.went, bytes);
    }

    /// Bytes from the client and bytes to the client, so far.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        let so_far = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed);
        (so_far(&self.came), so_far(&self.went))
    }
}

fn add(to: &AtomicU64, bytes: usize) {
    // Not `fetch_add`: nobody else counts, and this needs no lock of the memory bus.
    let sum = to.load(Ordering::Relaxed) + bytes as u64;
    to.store(sum, Ordering::Relaxed);
}
