//! The life of an agent: a session, a wait, the next session, for ever.

use std::{
    future::Future,
    pin::pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use adit_wire::message::{AgentMessage, GatewayMessage, Hello, Refused};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout},
};

use crate::{
    End, Event,
    backoff::{Backoff, LIVED},
    bindings::{Bindings, Key, PlaceWish, Wanted, Wish},
    event::printable_refusal,
    gateway::Unconnected,
    health::Health,
    session::{Session, Surroundings},
};

/// When the round trip is first looked at; the first ping leaves at once.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// As good as for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a program asks of its agent.
#[derive(Debug)]
pub(crate) enum Command {
    Bind(Box<Wanted>),
    Unbind {
        key: Key,
        done: Option<oneshot::Sender<()>>,
    },
    /// Gives an endpoint another policy.
    Update {
        key: Key,
        wish: Wish,
    },
    /// Gives an endpoint another place in its pool.
    Reweigh {
        key: Key,
        wish: PlaceWish,
    },
    /// The check of an endpoint's service has found something new.
    Checked {
        key: Key,
        health: Health,
    },
    /// Asks again for an endpoint that was refused for the time being.
    Rebind {
        key: Key,
    },
    Drain {
        deadline: Duration,
        done: oneshot::Sender<()>,
    },
}

/// Whether there is a session.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Connecting,
    Connected,
    Ended(End),
}

/// Keeps an agent connected.
#[derive(Debug)]
pub(crate) struct Reconnect {
    pub(crate) with: Surroundings,
    pub(crate) hello: Hello,
    pub(crate) backoff: Backoff,
    pub(crate) bindings: Bindings,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    /// For commands to itself. Weak: an agent that nobody holds ends.
    pub(crate) to_itself: mpsc::WeakUnboundedSender<Command>,
    pub(crate) state: watch::Sender<State>,
}

/// How a session ended.
enum Over {
    Lost(String),
    /// The gateway is going.
    Moved,
    /// The gateway does not want this agent any more.
    Refused(Refused),
    Closed,
}

// === impl Reconnect ===

impl Reconnect {
    pub(crate) async fn run(mut self) {
        let end = self.sessions().await;
        self.bindings.end_all(&end);
        self.state.send_replace(State::Ended(end));
    }

    async fn sessions(&mut self) -> End {
        loop {
            self.with.events.tell(Event::Connecting);
            self.hello.epoch = now().max(self.hello.epoch + 1);
            let with = Surroundings {
                backoff: self.backoff.anew(),
                ..self.with.clone()
            };
            let connecting = Session::connect(with, self.hello.clone());
            let Some(connected) = self.meanwhile(connecting).await else {
                return End::Closed;
            };
            let (reason, retry_in) = match connected {
                Ok(session) => {
                    let began = Instant::now();
                    let over = self.serve(session).await;
                    let served = began.elapsed();
                    if served >= LIVED {
                        self.backoff.reset();
                    }
                    match over {
                        Over::Lost(reason) => (reason, self.backoff.next()),
                        Over::Moved => ("the gateway is going".into(), self.backoff.moved(served)),
                        Over::Refused(refused) => return self.refused(refused),
                        Over::Closed => return End::Closed,
                    }
                }
                Err(Unconnected::Refused(refused)) if !refused.retryable => {
                    return self.refused(refused);
                }
                Err(error) => (error.to_string(), self.backoff.next()),
            };
            // Whoever changes places is not lost.
            if !self.backoff.is_in_a_hurry() {
                self.state.send_replace(State::Connecting);
                self.with
                    .events
                    .tell(Event::Disconnected { reason, retry_in });
            }
            if self.meanwhile(sleep(retry_in)).await.is_none() {
                return End::Closed;
            }
        }
    }

    fn refused(&self, refused: Refused) -> End {
        self.with.events.tell(Event::Refused(refused.clone()));
        End::Refused(refused)
    }

    /// Waits for something while there is no session; `None` if the agent ends before.
    async fn meanwhile<F: Future>(&mut self, something: F) -> Option<F::Output> {
        let mut something = pin!(something);
        loop {
            tokio::select! {
                output = &mut something => return Some(output),
                command = self.commands.recv() => match command? {
                    Command::Bind(wanted) => {
                        self.bindings.add(*wanted);
                    }
                    Command::Unbind { key, done } => self.unbind(key, done, None),
                    Command::Update { key, wish } => self.bindings.update(key, wish, None),
                    Command::Reweigh { key, wish } => self.bindings.set_place(key, wish, None),
                    Command::Checked { key, health } => self.bindings.checked(key, health, None),
                    Command::Rebind { .. } => {}
                    Command::Drain { deadline, done } => {
                        // Streams of an older session may still run.
                        drop(timeout(deadline, self.with.running.none()).await);
                        answer(done);
                        return None;
                    }
                },
            }
        }
    }

    async fn serve(&mut self, mut session: Session) -> Over {
        self.state.send_replace(State::Connected);
        let server = session.server.clone();
        self.with.events.tell(Event::Connected {
            session: session.id,
            server,
        });
        self.bindings.ask_all(&mut session);
        let every = session.heartbeat.interval();
        let mut look = interval_at(Instant::now() + every.min(FIRST_LOOK), every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = session.hear() => match heard {
                    Ok(GatewayMessage::Drain { deadline_ms }) => {
                        self.with.events.tell(Event::Draining);
                        tokio::spawn(session.retire(Duration::from_millis(deadline_ms)));
                        return Over::Moved;
                    }
                    Ok(GatewayMessage::Ended { refused }) => {
                        let refused = printable_refusal(refused);
                        return match refused.retryable {
                            true => Over::Lost(refused.reason),
                            false => Over::Refused(refused),
                        };
                    }
                    Ok(message) => self.hear(message, &mut session),
                    Err(reason) => return Over::Lost(reason),
                },
                command = self.commands.recv() => match command {
                    Some(Command::Drain { deadline, done }) => {
                        self.drain(session, deadline, done).await;
                        return Over::Closed;
                    }
                    Some(command) => self.obey(command, &mut session),
                    None => {
                        session.finish().await;
                        return Over::Closed;
                    }
                },
                _ = look.tick() => if let Some(latency) = session.latency() {
                    self.with.events.tell(Event::Latency(latency));
                },
            }
        }
    }

    fn hear(&mut self, message: GatewayMessage, session: &mut Session) {
        match message {
            GatewayMessage::Bound {
                request,
                endpoint,
                url,
            } => {
                self.bindings.bound(request, endpoint, &url, session);
            }
            GatewayMessage::BindRefused { request, refused } => {
                if let Some(wait) = self.bindings.refused(request, refused, session) {
                    self.rebind_after(request, wait);
                }
            }
            GatewayMessage::Unbound { endpoint, refused } => {
                if let Some((key, wait)) = self.bindings.unbound(endpoint, refused, session) {
                    self.rebind_after(key, wait);
                }
            }
            GatewayMessage::Updated { request } => self.bindings.updated(request, session),
            GatewayMessage::UpdateRefused { request, refused } => {
                self.bindings.update_refused(request, refused, session);
            }
            GatewayMessage::Exchange(report) => session.tell_exchange(&report),
            GatewayMessage::Drain { .. } | GatewayMessage::Ended { .. } => {}
        }
    }

    fn obey(&mut self, command: Command, session: &mut Session) {
        match command {
            Command::Bind(wanted) => {
                let key = self.bindings.add(*wanted);
                self.bindings.ask(key, session);
            }
            Command::Update { key, wish } => self.bindings.update(key, wish, Some(session)),
            Command::Reweigh { key, wish } => self.bindings.set_place(key, wish, Some(session)),
            Command::Checked { key, health } => self.bindings.checked(key, health, Some(session)),
            Command::Rebind { key } => self.bindings.ask(key, session),
            Command::Unbind { key, done } => self.unbind(key, done, Some(session)),
            Command::Drain { .. } => {}
        }
    }

    fn unbind(
        &mut self,
        key: Key,
        done: Option<oneshot::Sender<()>>,
        session: Option<&mut Session>,
    ) {
        self.bindings.close(key, session);
        if let Some(done) = done {
            answer(done);
        }
    }

    fn rebind_after(&self, key: Key, wait: Duration) {
        let to_itself = self.to_itself.clone();
        tokio::spawn(async move {
            sleep(wait).await;
            if let Some(to_itself) = to_itself.upgrade() {
                // An error means that the agent ended.
                drop(to_itself.send(Command::Rebind { key }));
            }
        });
    }

    /// Takes no more streams and waits for those that run.
    async fn drain(&mut self, mut session: Session, deadline: Duration, done: oneshot::Sender<()>) {
        session.say(AgentMessage::Drain);
        session.routes.send_modify(|routes| routes.draining = true);
        let mut deadline = after(deadline);
        let mut waiting = vec![done];
        let running = self.with.running.clone();
        let mut none_runs = pin!(running.none());
        loop {
            tokio::select! {
                () = &mut none_runs => break,
                () = sleep_until(deadline) => break,
                heard = session.hear() => match heard {
                    Ok(message) => self.hear(message, &mut session),
                    Err(_) => break,
                },
                command = self.commands.recv() => match command {
                    // Someone who has less patience.
                    Some(Command::Drain { deadline: sooner, done }) => {
                        deadline = deadline.min(after(sooner));
                        waiting.push(done);
                    }
                    Some(command) => self.obey(command, &mut session),
                    None => break,
                },
            }
        }
        session.finish().await;
        waiting.into_iter().for_each(answer);
    }
}

/// The moment after a wait that may be longer than a clock can say.
fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(LONGEST_WAIT)
}

fn answer(done: oneshot::Sender<()>) {
    // Nobody may be waiting any more.
    done.send(()).unwrap_or_default();
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
