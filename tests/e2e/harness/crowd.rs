//! Clients that ask again and again until they are told to stop, and remember what they got.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinSet};

use super::{
    soon,
    visitor::{Visitor, whole},
};

/// Clients at work, each with one request at a time on a connection of its own.
pub(crate) struct Crowd {
    stop: watch::Sender<bool>,
    answers: watch::Sender<usize>,
    clients: JoinSet<Seen>,
}

/// What they got.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Answers with status 200, by the first word of their body.
    pub(crate) served: HashMap<String, usize>,
    /// Everything else: other statuses with their bodies, and broken connections.
    pub(crate) failed: Vec<String>,
    /// When each slow answer came, and how long it took.
    pub(crate) slow: Vec<(Instant, Duration)>,
}

/// An answer that takes longer is slow, even on a busy machine.
const SLOW: Duration = Duration::from_millis(350);

impl Crowd {
    /// So many clients ask for `/`.
    pub(crate) fn start(clients: usize, to: SocketAddr, host: &'static str) -> Self {
        let stop = watch::Sender::new(false);
        let answers = watch::Sender::new(0);
        let work = |_| ask(to, host, stop.subscribe(), answers.clone());
        let clients = (0..clients).map(work).collect();
        Self {
            stop,
            answers,
            clients,
        }
    }

    /// Waits until so many more requests were answered, well or not.
    pub(crate) async fn answers(&self, more: usize) {
        let mut answers = self.answers.subscribe();
        let wanted = *answers.borrow() + more;
        let enough = answers.wait_for(|answers| *answers >= wanted);
        soon("answers for the crowd", enough).await.unwrap();
    }

    /// Sends them home.
    pub(crate) async fn stop(self) -> Seen {
        self.stop.send_replace(true);
        let mut all = Seen::default();
        for seen in soon("the crowd to go", self.clients.join_all()).await {
            all.failed.extend(seen.failed);
            all.slow.extend(seen.slow);
            for (by, times) in seen.served {
                *all.served.entry(by).or_default() += times;
            }
        }
        all
    }
}

impl Seen {
    /// Every request was answered with 200.
    pub(crate) fn all_were_served(&self) {
        let some: Vec<_> = self.failed.iter().take(5).collect();
        let failed = self.failed.len();
        assert!(failed == 0, "{failed} requests failed: {some:?}");
        assert!(!self.served.is_empty());
    }

    /// How long slow answers took that came after a moment.
    pub(crate) fn slow_after(&self, moment: Instant) -> Vec<Duration> {
        let slow = self.slow.iter().filter(|(came, _)| *came > moment);
        slow.map(|(_, took)| *took).collect()
    }

    /// How often somebody has served.
    pub(crate) fn by(&self, name: &str) -> usize {
        self.served.get(name).copied().unwrap_or(0)
    }
}

async fn ask(
    to: SocketAddr,
    host: &'static str,
    stop: watch::Receiver<bool>,
    answers: watch::Sender<usize>,
) -> Seen {
    let mut seen = Seen::default();
    let mut connected: Option<Visitor> = None;
    while !*stop.borrow() {
        let began = Instant::now();
        let asked = async {
            let mut visitor = match connected.take() {
                Some(visitor) => visitor,
                None => Visitor::connect(to).await,
            };
            let response = visitor.get(host, "/").await?;
            let answer = whole(response).await?;
            Ok::<_, hyper::Error>((visitor, answer))
        };
        match asked.await {
            Ok((visitor, (200, body))) => {
                let by = body.split(' ').next().unwrap_or_default();
                *seen.served.entry(by.to_owned()).or_default() += 1;
                connected = Some(visitor);
            }
            Ok((_, (status, body))) => seen.failed.push(format!("{status} {body}")),
            Err(error) => seen.failed.push(format!("{error:?}")),
        }
        let took = began.elapsed();
        if took > SLOW {
            seen.slow.push((Instant::now(), took));
        }
        answers.send_modify(|answers| *answers += 1);
    }
    seen
}
