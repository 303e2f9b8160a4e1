//! One exchange's connection to a member: how far it has come, and what became of it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::Context,
    time::Duration,
};

use adit_wire::{
    Stream,
    message::{DialErrorKind, Protocol},
};
use pingora_core::{Error, ErrorType};
use tokio::time::{Instant, timeout};

use super::tries::Patience;
use crate::pools::{
    member::{Member, Opened},
    session::OpenFailure,
};

/// One exchange's connection to a member.
pub(super) struct Dial {
    member: Arc<Member>,
    core: usize,
    protocol: Protocol,
    /// A stream that was idle has just failed, and what broke it may have broken the others, too.
    fresh: bool,
    ended: AtomicBool,
    reused: AtomicBool,
    reading: AtomicU8,
    failure: Mutex<Option<OpenFailure>>,
    /// How long the try may take, if that is limited.
    patience: Option<Patience>,
    /// How far it has come.
    sent: AtomicBool,
    request_over: AtomicBool,
    had_body: AtomicBool,
    head_came: AtomicBool,
    late: AtomicBool,
}

// When the response may be read. Pingora takes the end of a request's body for the end of the upgraded
// connection if it reads a 101 first, and which of the two it takes first is left to chance. So the 101 waits.
const FREELY: u8 = 0;
/// Not before the request has ended.
const AFTER_THE_REQUEST: u8 = 1;
/// It has ended, but Pingora's upstream half has yet to be told: it is, while this read is pending.
const NEXT_TIME: u8 = 2;

// === impl Dial ===

impl Dial {
    /// `upgrade`: the request asks to switch protocols.
    pub(super) fn new(
        member: Arc<Member>,
        core: usize,
        protocol: Protocol,
        (fresh, upgrade): (bool, bool),
        patience: Option<Patience>,
    ) -> Self {
        Self {
            member,
            core,
            protocol,
            fresh,
            ended: AtomicBool::new(false),
            reused: AtomicBool::new(false),
            reading: AtomicU8::new(if upgrade { AFTER_THE_REQUEST } else { FREELY }),
            failure: Mutex::new(None),
            patience,
            sent: AtomicBool::new(protocol == Protocol::Http2),
            request_over: AtomicBool::new(false),
            had_body: AtomicBool::new(false),
            head_came: AtomicBool::new(false),
            late: AtomicBool::new(false),
        }
    }

    /// The whole response has been read.
    pub(super) fn response_ended(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// The whole request has been handed to Pingora's upstream half.
    pub(super) fn request_ended(&self) {
        self.request_over.store(true, Ordering::Relaxed);
        if self.reading.load(Ordering::Relaxed) == AFTER_THE_REQUEST {
            self.reading.store(NEXT_TIME, Ordering::Relaxed);
        }
    }

    /// Whether the whole response has been read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Something of the request has gone out.
    pub(super) fn sends(&self) {
        if !self.has_sent() {
            self.sent.store(true, Ordering::Relaxed);
        }
    }

    /// Its time is over.
    pub(super) fn is_too_late(&self) {
        self.late.store(true, Ordering::Relaxed);
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether a read has to wait. The end of the request wakes it.
    pub(super) fn holds_back(&self, cx: &Context<'_>) -> bool {
        let reading = self.reading.load(Ordering::Relaxed);
        if reading == NEXT_TIME {
            self.reading.store(FREELY, Ordering::Relaxed);
            cx.waker().wake_by_ref();
        }
        reading != FREELY
    }

    /// Whether the stream had carried other exchanges before, so that its service may have closed it.
    pub(super) fn was_reused(&self) -> bool {
        self.reused.load(Ordering::Relaxed)
    }

    /// Why there was no stream, if there was none.
    pub(super) fn failure(&self) -> Option<OpenFailure> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whose connection it is.
    pub(super) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Whether its time is limited.
    pub(super) fn is_timed(&self) -> bool {
        self.patience.is_some()
    }

    /// The client's body took its own time.
    pub(super) fn had_body(&self) {
        self.had_body.store(true, Ordering::Relaxed);
    }

    /// The head of the response, a final one, is there.
    pub(super) fn head_has_come(&self) {
        self.head_came.store(true, Ordering::Relaxed);
    }

    pub(super) fn head_came(&self) -> bool {
        self.head_came.load(Ordering::Relaxed)
    }

    /// Whether anything of the request went out. Of HTTP/2 only Pingora knows.
    pub(super) fn has_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether all of the request went out.
    pub(super) fn request_is_over(&self) -> bool {
        self.request_over.load(Ordering::Relaxed)
    }

    /// Whether it took longer than it might.
    pub(super) fn is_late(&self) -> bool {
        self.late.load(Ordering::Relaxed)
    }

    /// How long to wait for the head from now on, if that is limited.
    pub(super) fn wait_for_head(&self) -> Option<Duration> {
        let patience = self.patience.filter(|_| self.request_is_over())?;
        let had_body = self.had_body.load(Ordering::Relaxed);
        patience.for_head(Instant::now(), had_body)
    }

    /// A stream for one exchange of HTTP/1, perhaps one that others had before.
    pub(super) async fn stream(&self) -> Result<Stream, Box<Error>> {
        let opening = self.member.stream(self.core, self.fresh);
        let Opened { stream, reused } = self.in_time(opening).await?;
        self.reused.store(reused, Ordering::Relaxed);
        Ok(stream)
    }

    /// A new stream for a connection of HTTP/2.
    pub(super) async fn open(&self) -> Result<Stream, Box<Error>> {
        self.in_time(self.member.open(self.core, Protocol::Http2))
            .await
    }

    /// The exchange has ended cleanly.
    pub(super) fn give_back(&self, stream: Stream) {
        self.member.give_back(self.core, stream);
    }

    /// Opens a stream, in time.
    async fn in_time<T>(
        &self,
        opening: impl Future<Output = Result<T, OpenFailure>>,
    ) -> Result<T, Box<Error>> {
        let wait = self
            .patience
            .and_then(|patience| patience.to_connect(Instant::now()));
        let opened = match wait {
            None => opening.await,
            Some(wait) => timeout(wait, opening).await.unwrap_or_else(|_| {
                self.is_too_late();
                Err(OpenFailure::Timeout)
            }),
        };
        opened.map_err(|failure| self.fail(failure))
    }

    /// Where the member's agent forwards to, in its own words.
    pub(super) fn forwards_to(&self) -> &str {
        &self.member.spec.forwards_to
    }

    pub(super) fn fail(&self, failure: OpenFailure) -> Box<Error> {
        let kind = match &failure {
            OpenFailure::Timeout => ErrorType::ConnectTimedout,
            OpenFailure::Dial(error) if error.kind == DialErrorKind::Refused => {
                ErrorType::ConnectRefused
            }
            _ => ErrorType::ConnectError,
        };
        let error = Error::explain(kind, failure.to_string());
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        error
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial")
            .field("member", &self.member.id)
            .finish_non_exhaustive()
    }
}
