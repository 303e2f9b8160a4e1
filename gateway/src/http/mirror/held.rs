//! What a copy holds: the request's body, and the answer of the service.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use adit_policy::mirror::{Answer, Settings};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

/// Filled by the exchange, read by the copy.
#[derive(Debug)]
pub(super) struct Held {
    settings: Arc<Settings>,
    request: Mutex<Bounded>,
    answer: Mutex<Bounded>,
    head: Mutex<Option<Head>>,
}

/// The header of the service's answer, as far as it is compared.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// From the request's end to this header.
    pub(super) took: Duration,
}

/// A body, unless it is too long: then nothing of it is held.
#[derive(Debug)]
pub(super) struct Bounded {
    /// Copied, not shared: a piece may be a small part of a large buffer.
    bytes: BytesMut,
    max: usize,
    over: bool,
}

// === impl Held ===

impl Held {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        let max = settings.max_body;
        Self {
            settings,
            request: Mutex::new(Bounded::new(max)),
            answer: Mutex::new(Bounded::new(max)),
            head: Mutex::default(),
        }
    }

    pub(super) fn request(&self) -> MutexGuard<'_, Bounded> {
        lock(&self.request)
    }

    pub(super) fn answer(&self) -> MutexGuard<'_, Bounded> {
        lock(&self.answer)
    }

    pub(super) fn set_head(&self, head: Head) {
        *lock(&self.head) = Some(head);
    }

    /// The lines that are compared.
    pub(super) fn wanted(&self, lines: &HeaderMap) -> HeaderMap {
        let compare = &self.settings.compare;
        let lines = lines.iter();
        let wanted = lines.filter(|(name, _)| compare.wants_header(name));
        wanted
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// The service's answer, once it is whole, and how long its header took.
    pub(super) fn take_answer(&self) -> Option<(Answer, Duration)> {
        let Head {
            status,
            headers,
            took,
        } = lock(&self.head).take()?;
        let body = self.answer().take();
        let answer = Answer {
            status,
            headers,
            body,
        };
        Some((answer, took))
    }
}

// === impl Bounded ===

impl Bounded {
    pub(super) fn new(max: usize) -> Self {
        Self {
            bytes: BytesMut::new(),
            max,
            over: false,
        }
    }

    /// Forgets what is there. `promised`: how long it will be, if that is known.
    pub(super) fn begin_again(&mut self, promised: Option<usize>) {
        self.bytes = BytesMut::new();
        self.over = promised.is_some_and(|length| length > self.max);
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        if self.over || piece.len() > self.max.saturating_sub(self.bytes.len()) {
            self.over = true;
            self.bytes = BytesMut::new();
            return;
        }
        self.bytes.extend_from_slice(piece);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The body; `None` if it was too long.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let bytes = std::mem::take(&mut self.bytes).freeze();
        (!self.over).then_some(bytes)
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_too_long_is_not_held_at_all() {
        let mut body = Bounded::new(5);
        for piece in [&b"123"[..], b"", b"45"] {
            body.push(piece);
        }
        assert_eq!(body.take().as_deref(), Some(&b"12345"[..]));
        body.push(b"12345");
        body.push(b"6");
        body.push(b"7");
        assert!(body.is_over() && body.bytes.capacity() == 0);
        assert_eq!(body.take(), None);
        body.begin_again(None);
        body.push(b"1");
        assert_eq!(body.take().as_deref(), Some(&b"1"[..]));
        body.begin_again(Some(6));
        assert!(body.is_over());
    }
}
