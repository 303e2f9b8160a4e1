//! The control stream: messages both ways, and a heartbeat that notices silence.

use std::{
    pin::pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{ReadHalf, WriteHalf},
    sync::{Notify, mpsc},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    Stream,
    frame::{self, FrameError},
    limits::CONTROL_FRAME,
    message::Heartbeat,
};

/// A frame of the control stream.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Beat<M> {
    /// Answer with a [`Beat::Pong`] of the same number.
    Ping(u64),
    /// The answer to a [`Beat::Ping`].
    Pong(u64),
    /// A message.
    Say(M),
}

/// A message that cannot be said, and is a fault when heard: for lanes that carry heartbeats only.
#[derive(Debug, Serialize, Deserialize)]
pub enum Nothing {}

/// What the heartbeat knows about the peer; shared with whoever asks.
#[derive(Debug)]
pub struct Pulse {
    heard: Mutex<Instant>,
    latency_micros: AtomicU64,
    quiet: AtomicBool,
    asked: Notify,
}

/// Why a control stream ended.
#[derive(Debug, thiserror::Error)]
pub enum ControlEnd {
    /// This side has no more to say.
    #[error("closed from this side")]
    Local,
    /// The peer said nothing for the agreed time.
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    /// The peer broke the protocol or the connection broke.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Runs a control stream until it ends: sends what comes from `outgoing`, hands what arrives to
/// `incoming`, pings, and gives the peer up after a silence.
///
/// Dropping the sender of `outgoing` ends it from this side, after what was queued is written.
pub async fn control<In, Out>(
    stream: Stream,
    heartbeat: Heartbeat,
    pulse: &Pulse,
    mut outgoing: mpsc::Receiver<Out>,
    incoming: mpsc::Sender<In>,
) -> ControlEnd
where
    In: DeserializeOwned,
    Out: Serialize,
{
    let (reader, writer) = tokio::io::split(stream);
    // One slot: a peer that pings faster than its pongs are read is held back by its own reading.
    let (pong, pongs) = mpsc::channel(1);
    tokio::select! {
        end = listen(reader, heartbeat, pulse, pong, incoming) => end,
        end = speak(writer, heartbeat, pulse, pongs, &mut outgoing) => end,
    }
}

async fn listen<In: DeserializeOwned>(
    mut reader: ReadHalf<Stream>,
    heartbeat: Heartbeat,
    pulse: &Pulse,
    pong: mpsc::Sender<u64>,
    incoming: mpsc::Sender<In>,
) -> ControlEnd {
    loop {
        let mut read = pin!(frame::read::<Beat<In>, _>(&mut reader, CONTROL_FRAME));
        let patience = heartbeat.quiet_after();
        let beat = match timeout(patience, &mut read).await {
            Err(_) => {
                pulse.doubt();
                timeout(heartbeat.dead_after().saturating_sub(patience), read).await
            }
            in_time => in_time,
        };
        let beat = match beat {
            Ok(Ok(beat)) => beat,
            Ok(Err(error)) => return error.into(),
            Err(_) => return ControlEnd::Silent(heartbeat.dead_after()),
        };
        pulse.hear();
        let taken = match beat {
            Beat::Ping(number) => pong.send(number).await.is_ok(),
            Beat::Pong(sent) => {
                pulse.measure(sent);
                true
            }
            Beat::Say(message) => incoming.send(message).await.is_ok(),
        };
        if !taken {
            return ControlEnd::Local;
        }
    }
}

async fn speak<Out: Serialize>(
    mut writer: WriteHalf<Stream>,
    heartbeat: Heartbeat,
    pulse: &Pulse,
    mut pongs: mpsc::Receiver<u64>,
    outgoing: &mut mpsc::Receiver<Out>,
) -> ControlEnd {
    let mut tick = interval(heartbeat.interval());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let beat = tokio::select! {
            said = outgoing.recv() => match said {
                Some(message) => Beat::Say(message),
                None => return ControlEnd::Local,
            },
            Some(number) = pongs.recv() => Beat::Pong(number),
            () = pulse.asked.notified() => Beat::Ping(pulse.stamp(Instant::now())),
            now = tick.tick() => Beat::Ping(pulse.stamp(now)),
        };
        if let Err(error) = frame::write(&mut writer, &beat, CONTROL_FRAME).await {
            return error.into();
        }
    }
}

// === impl Pulse ===

impl Pulse {
    /// A pulse that was felt just now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            heard: Mutex::new(Instant::now()),
            latency_micros: AtomicU64::new(0),
            quiet: AtomicBool::new(false),
            asked: Notify::new(),
        }
    }

    /// How long ago the peer was last heard.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    /// The last measured round trip, once there is one.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        match self.latency_micros.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    /// Whether there is doubt that the peer lives: it should have been heard by now. Asking costs next to nothing.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// The peer did not answer something else in time: it is asked for a sign of life, and counts as quiet until it
    /// gives one.
    pub fn doubt(&self) {
        self.quiet.store(true, Ordering::Relaxed);
        self.asked.notify_one();
    }

    fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.quiet.store(false, Ordering::Relaxed);
    }

    /// A ping's number is the time it was sent, on a clock that only this process can read.
    fn stamp(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(*ORIGIN).as_micros()).unwrap_or(u64::MAX)
    }

    fn measure(&self, sent: u64) {
        let now = self.stamp(Instant::now());
        // A peer may answer with any number; one from the future measures nothing.
        if let Some(micros) = now.checked_sub(sent) {
            self.latency_micros.store(micros.max(1), Ordering::Relaxed);
        }
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

static ORIGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
