//! One session: greeted, standing on its lanes, heard and spoken to, and ended.

use std::{collections::VecDeque, future::pending, sync::Arc, time::Duration};

use adit_wire::{
    ControlEnd, FrameError, Lane, LaneError, Pulse, control,
    limits::{MAX_LANES, OLDEST_VERSION, VERSION},
    message::{
        AgentMessage, Answer, ExchangeReport, GatewayMessage, Greeting, Heartbeat, Hello, Join,
        RefusalCode, Refused, Welcome,
    },
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    Event,
    backoff::Backoff,
    event::{Events, printable},
    gateway::{Gateway, Unconnected, out_of_turn},
    lane::{Serving, SideLane, Standing, stand},
    routes::Routes,
    stream::Running,
};

/// Messages of the gateway that may wait to be looked at; then its control stream has to wait.
const UNHEARD: usize = 64;

/// How long the last words of a session may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// The longest that a gateway which is going may keep the old session.
const LONGEST_DRAIN: Duration = Duration::from_secs(600);

/// What a session is made from, the same for all sessions of an agent.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) gateway: Arc<Gateway>,
    /// Of the lanes beside the first.
    pub(crate) backoff: Backoff,
    pub(crate) running: Running,
    pub(crate) events: Events,
}

/// One agent, connected. Dropping it ends all its lanes.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) server: String,
    /// The protocol revision that was agreed on.
    pub(crate) version: u16,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) routes: watch::Sender<Routes>,
    events: Events,
    lane: Lane,
    pulse: Arc<Pulse>,
    /// Held back until the control stream takes it, so that speaking never keeps from hearing.
    unsaid: VecDeque<AgentMessage>,
    outgoing: Option<mpsc::Sender<AgentMessage>>,
    incoming: mpsc::Receiver<GatewayMessage>,
    ended: oneshot::Receiver<String>,
}

// === impl Session ===

impl Session {
    pub(crate) async fn connect(with: Surroundings, hello: Hello) -> Result<Self, Unconnected> {
        let (io, answer) = with.gateway.greet(0, &Greeting::Hello(hello)).await?;
        let Answer::Welcome(welcome) = answer else {
            return Err(out_of_turn());
        };
        if !(OLDEST_VERSION..=VERSION).contains(&welcome.version) {
            return Err(Unconnected::Refused(wrong_version(welcome.version)));
        }
        let routes = watch::Sender::new(Routes::default());
        let serving = Serving {
            routes: routes.subscribe(),
            running: with.running.clone(),
            events: with.events.clone(),
        };
        let standing = stand(io, serving.clone())
            .await
            .map_err(|_| Unconnected::Network("the gateway closed the connection".into()))?;
        let heartbeat = within_reason(welcome.heartbeat);
        for number in 1..welcome.lanes.min(MAX_LANES) {
            let side = side_lane(number, &welcome, heartbeat, &with, &serving);
            tokio::spawn(side.keep(standing.lane.clone()));
        }
        let (lane, pulse) = (standing.lane.clone(), Arc::new(Pulse::new()));
        let (outgoing, said) = mpsc::channel(1);
        let (heard, incoming) = mpsc::channel(UNHEARD);
        let (end, ended) = oneshot::channel();
        tokio::spawn(converse(
            standing,
            heartbeat,
            Arc::clone(&pulse),
            said,
            heard,
            end,
        ));
        Ok(Self {
            id: welcome.session,
            server: printable(&welcome.server),
            version: welcome.version,
            heartbeat,
            routes,
            events: with.events,
            lane,
            pulse,
            unsaid: VecDeque::new(),
            outgoing: Some(outgoing),
            incoming,
            ended,
        })
    }

    /// Queues a message; [`Self::hear`] sends it.
    pub(crate) fn say(&mut self, message: AgentMessage) {
        self.unsaid.push_back(message);
    }

    /// The next message, or why there will be none. Safe to cancel.
    pub(crate) async fn hear(&mut self) -> Result<GatewayMessage, String> {
        loop {
            tokio::select! {
                () = say_one(&mut self.unsaid, self.outgoing.as_ref()) => {}
                message = self.incoming.recv() => return match message {
                    Some(message) => Ok(message),
                    None => Err((&mut self.ended).await.unwrap_or_else(|_| "the session ended".into())),
                },
            }
        }
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        self.pulse.latency()
    }

    /// Tells an ended exchange under its endpoint's name.
    pub(crate) fn tell_exchange(&self, report: &ExchangeReport) {
        let Some(route) = self.routes.borrow().by_id.get(&report.endpoint).cloned() else {
            return;
        };
        self.events.tell(Event::Exchange {
            name: route.name.clone(),
            method: printable(&report.method),
            path: printable(&report.path),
            status: report.status,
            duration: Duration::from_micros(report.micros),
            missed: report.missed,
        });
    }

    /// Lets a gateway that is going finish its streams, while a newer session takes over.
    pub(crate) async fn retire(mut self, deadline: Duration) {
        let deadline = Instant::now() + deadline.min(LONGEST_DRAIN);
        while let Ok(Ok(message)) = timeout_at(deadline, self.hear()).await {
            if let GatewayMessage::Exchange(report) = message {
                self.tell_exchange(&report);
            }
        }
        self.finish().await;
    }

    /// Ends the session after what was queued is said.
    pub(crate) async fn finish(mut self) {
        let last_words = async {
            while !self.unsaid.is_empty() {
                say_one(&mut self.unsaid, self.outgoing.as_ref()).await;
            }
            self.outgoing = None;
            self.lane.closed().await;
        };
        // Whoever does not listen any more is left without them.
        drop(timeout(GOODBYE, last_words).await);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.lane.close();
    }
}

async fn say_one(
    unsaid: &mut VecDeque<AgentMessage>,
    outgoing: Option<&mpsc::Sender<AgentMessage>>,
) {
    let Some(outgoing) = outgoing.filter(|_| !unsaid.is_empty()) else {
        return pending().await;
    };
    match outgoing.reserve().await {
        Ok(place) => {
            if let Some(message) = unsaid.pop_front() {
                place.send(message);
            }
        }
        // The control stream ended; hearing will say why.
        Err(_) => unsaid.clear(),
    }
}

async fn converse(
    standing: Standing,
    heartbeat: Heartbeat,
    pulse: Arc<Pulse>,
    said: mpsc::Receiver<AgentMessage>,
    heard: mpsc::Sender<GatewayMessage>,
    ended: oneshot::Sender<String>,
) {
    let Standing {
        lane,
        control: stream,
        driving,
    } = standing;
    let end = control(stream, heartbeat, &pulse, said, heard.clone()).await;
    lane.close();
    let reason = why(&end, driving).await;
    drop(ended.send(reason));
    // Only now does hearing end, when there is a reason to give.
    drop(heard);
}

async fn why(end: &ControlEnd, driving: JoinHandle<Result<(), LaneError>>) -> String {
    let broke = driving.await;
    match (end, broke) {
        (ControlEnd::Frame(FrameError::Io(_)), Ok(Err(error))) => error.to_string(),
        (ControlEnd::Frame(FrameError::Io(_)), _) => "the gateway closed the connection".into(),
        (end, _) => end.to_string(),
    }
}

fn side_lane(
    number: u16,
    welcome: &Welcome,
    heartbeat: Heartbeat,
    with: &Surroundings,
    serving: &Serving,
) -> SideLane {
    SideLane {
        gateway: Arc::clone(&with.gateway),
        join: Join {
            session: welcome.session,
            key: welcome.join_key.clone(),
            lane: number,
        },
        heartbeat,
        backoff: with.backoff.clone(),
        serving: serving.clone(),
    }
}

/// A gateway cannot make an agent ping all the time, nor wait for ever.
fn within_reason(wanted: Heartbeat) -> Heartbeat {
    let interval_ms = wanted.interval_ms.clamp(50, 60_000);
    Heartbeat {
        interval_ms,
        dead_after_ms: wanted.dead_after_ms.clamp(interval_ms * 2, 300_000),
    }
}

fn wrong_version(version: u16) -> Refused {
    Refused {
        code: RefusalCode::Version,
        reason: format!(
            "the gateway chose protocol revision {version}, which was not offered ({OLDEST_VERSION} to {VERSION}): \
             update the older of the two"
        ),
        retryable: false,
    }
}
