//! One connected agent: its lanes, and how a stream to its service is opened.

use std::{
    fmt,
    net::IpAddr,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use adit_wire::{
    FrameError, Lane, Pulse, Stream, frame,
    limits::{ENDED_SINCE, MAX_LANES, OPEN_FRAME, POOLS_SINCE, STREAMS_PER_LANE},
    message::{
        DialError, DialErrorKind, ExchangeReport, GatewayMessage, Heartbeat, OpenRequest,
        OpenResult, Refused, Token,
    },
};
use arc_swap::ArcSwapOption;
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{health::Failure, member::Member};
use crate::front::running::Running;

/// An agent says at once what it does about a new stream. One that has said nothing for so long is asked whether it lives.
const PROMPT: Duration = Duration::from_secs(1);

/// One agent session. Ends once, for good: a reconnect is a new session.
pub(crate) struct Session {
    /// Unique in this process, never used again.
    pub(crate) id: u64,
    /// The credential's name.
    pub(crate) owner: String,
    /// The agent process, the same over its reconnects.
    pub(crate) agent_id: String,
    /// Grows with each of its connects.
    pub(crate) epoch: u64,
    /// What further lanes must show.
    pub(crate) join_key: Token,
    /// When it was last heard.
    pub(crate) pulse: Pulse,
    /// Cancelled at the session's end.
    pub(crate) end: CancellationToken,
    /// Told when one of its members was taken out of its pool.
    pub(crate) expelled: Notify,
    /// Its endpoints; their idle streams give way when a lane is full.
    members: Mutex<Vec<Weak<Member>>>,
    lanes: [ArcSwapOption<Lane>; MAX_LANES as usize],
    lane_count: usize,
    draining: AtomicBool,
    /// Cancelled at the same moment, for whoever waits for it.
    pub(super) leaving: CancellationToken,
    /// Streams for endpoints of tcp, which may last for ever.
    pub(crate) raw: Running,
    closed: AtomicBool,
    say: mpsc::Sender<GatewayMessage>,
    unreported: AtomicU64,
    /// The protocol revision that was agreed on.
    version: u16,
    dial_timeout_ms: AtomicU64,
    /// As both ends agreed on it at the beginning, whatever the configuration says since.
    heartbeat: OnceLock<Heartbeat>,
    about: OnceLock<About>,
}

/// What an agent says of itself, and where it came from: for people who look.
#[derive(Debug)]
pub(crate) struct About {
    /// Program and platform.
    pub(crate) client: String,
    /// The text of the agent's owner.
    pub(crate) metadata: String,
    pub(crate) peer: IpAddr,
    pub(crate) since: SystemTime,
}

/// Who connected, and under which terms.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) owner: String,
    pub(crate) agent_id: String,
    pub(crate) epoch: u64,
    pub(crate) join_key: Token,
    pub(crate) lane_count: u16,
    pub(crate) version: u16,
    pub(crate) dial_timeout: Duration,
}

/// Why no stream could be had. Nothing was sent to the service, so another agent may be tried.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum OpenFailure {
    #[error("the agent carries as many streams as it may")]
    Busy,
    #[error("the agent is gone")]
    Lost,
    #[error("the agent did not answer in time")]
    Timeout,
    #[error("the agent broke the protocol")]
    Protocol,
    #[error("the agent cannot reach its service: {0}")]
    Dial(DialError),
}

// === impl Session ===

impl Session {
    pub(crate) fn new(terms: Terms, say: mpsc::Sender<GatewayMessage>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            owner: terms.owner,
            agent_id: terms.agent_id,
            epoch: terms.epoch,
            join_key: terms.join_key,
            pulse: Pulse::new(),
            end: CancellationToken::new(),
            expelled: Notify::new(),
            members: Mutex::default(),
            lanes: Default::default(),
            lane_count: usize::from(terms.lane_count.clamp(1, MAX_LANES)),
            draining: AtomicBool::new(false),
            leaving: CancellationToken::new(),
            raw: Running::default(),
            closed: AtomicBool::new(false),
            say,
            unreported: AtomicU64::new(0),
            version: terms.version,
            dial_timeout_ms: AtomicU64::new(millis(terms.dial_timeout)),
            heartbeat: OnceLock::new(),
            about: OnceLock::new(),
        }
    }

    /// How long opening a stream may take from now on.
    pub(crate) fn set_dial_timeout(&self, timeout: Duration) {
        self.dial_timeout_ms
            .store(millis(timeout), Ordering::Relaxed);
    }

    /// The heartbeat of all its lanes: the one of the first time.
    pub(crate) fn heartbeat(&self, now: impl FnOnce() -> Heartbeat) -> Heartbeat {
        *self.heartbeat.get_or_init(now)
    }

    /// Takes note of what the agent has said of itself.
    pub(crate) fn introduce(&self, about: About) {
        self.about.get_or_init(|| about);
    }

    pub(crate) fn about(&self) -> Option<&About> {
        self.about.get()
    }

    /// Whether new exchanges may go here.
    pub(crate) fn takes_traffic(&self) -> bool {
        // The token would say the same, and take a lock.
        !self.is_draining() && !self.closed.load(Ordering::Relaxed)
    }

    /// Whether the agent has said that it is going.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether it ended without having said that it would.
    pub(crate) fn is_lost(&self) -> bool {
        self.end.is_cancelled() && !self.is_draining()
    }

    /// No new exchanges; running ones go on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.leaving.cancel();
    }

    /// How many streams may be for endpoints of tcp: half of all, so that others find room whatever comes to a port.
    pub(crate) fn raw_most(&self) -> u32 {
        u32::try_from(self.lane_count * STREAMS_PER_LANE / 2).unwrap_or(u32::MAX)
    }

    /// Takes note of an endpoint that it serves.
    pub(crate) fn serve(&self, member: &Arc<Member>) {
        let mut members = self.members();
        // Not each time: a session may have many thousands.
        if members.len() == members.capacity() {
            members.retain(|member| member.strong_count() > 0);
        }
        members.push(Arc::downgrade(member));
    }

    // Nothing panics while it holds the lock.
    fn members(&self) -> MutexGuard<'_, Vec<Weak<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a lane in its place. A lane that was there is closed.
    pub(crate) fn add_lane(&self, index: u16, lane: Lane) -> bool {
        if usize::from(index) >= self.lane_count {
            return false;
        }
        let Some(place) = self.lanes.get(usize::from(index)) else {
            return false;
        };
        if let Some(old) = place.swap(Some(lane.into())) {
            old.close();
        }
        // The session may have ended while the lane was on its way.
        if self.end.is_cancelled() {
            self.close_lanes();
        }
        true
    }

    /// Ends the session and every stream of it.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.end.cancel();
        self.close_lanes();
    }

    fn close_lanes(&self) {
        for lane in self.lanes.iter().filter_map(|lane| lane.swap(None)) {
            lane.close();
        }
    }

    /// Sends a control message; `false` if the session has ended.
    pub(crate) async fn tell(&self, message: GatewayMessage) -> bool {
        self.say.send(message).await.is_ok()
    }

    /// Tells the agent that its session is ended, and why; `false` if it speaks an older protocol, or has ended.
    pub(crate) async fn part(&self, refused: Refused) -> bool {
        self.version >= ENDED_SINCE && self.tell(GatewayMessage::Ended { refused }).await
    }

    /// Whether the agent knows what to do with endpoints of tcp.
    pub(crate) fn knows_tcp(&self) -> bool {
        self.version >= POOLS_SINCE
    }

    /// Reports an exchange to the agent's display, unless that would have to wait.
    pub(crate) fn report(&self, mut exchange: ExchangeReport) {
        let missed = self.unreported.swap(0, Ordering::Relaxed);
        exchange.missed = missed;
        if self
            .say
            .try_send(GatewayMessage::Exchange(Box::new(exchange)))
            .is_err()
        {
            self.unreported.fetch_add(missed + 1, Ordering::Relaxed);
        }
    }

    /// Opens a stream to the service behind an endpoint, best on the lane of this core.
    pub(crate) async fn open(
        &self,
        core: usize,
        request: &OpenRequest,
    ) -> Result<Stream, OpenFailure> {
        let opening = async {
            loop {
                match self.open_unbounded(core, request).await {
                    Err(OpenFailure::Busy) if self.let_go_of_one_idle() => {}
                    opened => return opened,
                }
            }
        };
        let dial_timeout = Duration::from_millis(self.dial_timeout_ms.load(Ordering::Relaxed));
        timeout(dial_timeout, opening)
            .await
            .unwrap_or(Err(OpenFailure::Timeout))
    }

    fn let_go_of_one_idle(&self) -> bool {
        let members = self.members();
        let mut members = members.iter().filter_map(Weak::upgrade);
        members.any(|member| member.let_go_of_one())
    }

    async fn open_unbounded(
        &self,
        core: usize,
        request: &OpenRequest,
    ) -> Result<Stream, OpenFailure> {
        let mut failure = OpenFailure::Lost;
        for turn in 0..self.lane_count {
            let index = (core + turn) % self.lane_count;
            let Some(lane) = self.lanes.get(index).and_then(ArcSwapOption::load_full) else {
                continue;
            };
            match lane.open().await {
                Ok(stream) => return ask(stream, request, &self.pulse).await,
                Err(adit_wire::OpenError::Busy) => failure = OpenFailure::Busy,
                Err(adit_wire::OpenError::Closed) => {}
            }
        }
        Err(failure)
    }
}

async fn ask(
    mut stream: Stream,
    request: &OpenRequest,
    pulse: &Pulse,
) -> Result<Stream, OpenFailure> {
    frame::write(&mut stream, request, OPEN_FRAME).await?;
    let mut answer = {
        let mut first = pin!(frame::read(&mut stream, OPEN_FRAME));
        match timeout(PROMPT, &mut first).await {
            Ok(answer) => answer?,
            Err(_) => {
                pulse.doubt();
                first.await?
            }
        }
    };
    loop {
        match answer {
            OpenResult::Dialing => answer = frame::read(&mut stream, OPEN_FRAME).await?,
            OpenResult::Open => return Ok(stream),
            OpenResult::Failed(error) => return Err(OpenFailure::Dial(error)),
        }
    }
}

impl OpenFailure {
    /// What it says about the member, if it says anything: that an agent is going, or full, is no fault.
    pub(super) fn of_member(&self) -> Option<Failure> {
        match self {
            Self::Busy => None,
            Self::Lost | Self::Protocol => Some(Failure::Connect),
            Self::Timeout => Some(Failure::Timeout),
            Self::Dial(error) => match error.kind {
                DialErrorKind::Draining | DialErrorKind::UnknownEndpoint => None,
                _ => Some(Failure::Dial),
            },
        }
    }
}

impl From<FrameError> for OpenFailure {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(_) => Self::Lost,
            FrameError::TooLarge { .. } | FrameError::Malformed(_) => Self::Protocol,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
