//! A session as it runs: events are told, endpoints watched, wishes to end obeyed.

use std::time::Duration;

use adit_agent::{Agent, BindError, End, Event};
use adit_gateway::Embedded;
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc,
    },
    task::JoinSet,
};

use crate::{exit::Failure, reload::News, report::Report, signals::Signals};

/// How long requests that run may go on after the signal to stop.
const FINISH: Duration = Duration::from_secs(10);

/// How long a gateway of our own may take to send what the last requests brought.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// What is listened to while the endpoints are online.
pub(crate) struct Running {
    pub(crate) events: broadcast::Receiver<Event>,
    /// Of the files that the endpoints' policies are in.
    pub(crate) news: mpsc::UnboundedReceiver<News>,
    pub(crate) signals: Signals,
    pub(crate) report: Report,
    /// One task for each endpoint, which ends with it.
    pub(crate) online: JoinSet<Result<End, BindError>>,
}

// === impl Running ===

impl Running {
    /// Tells what happens until someone wants it to end, or the gateway does.
    pub(crate) async fn until_the_end(&mut self, agent: &Agent) -> Result<(), Failure> {
        loop {
            tokio::select! {
                event = self.events.recv() => self.tell(event),
                Some(ended) = self.online.join_next() => match ended {
                    Ok(Ok(End::Refused(refused))) if self.online.is_empty() => {
                        return Err(Failure::Refused(refused.reason));
                    }
                    // The others are still served.
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return Err(unbound(error)),
                    Err(panicked) => return Err(Failure::mistake(panicked)),
                },
                Some(news) = self.news.recv() => self.report.tell_news(news),
                () = self.report.quit() => return Ok(()),
                () = self.signals.next() => return Ok(()),
                end = agent.done() => return match end {
                    End::Closed => Ok(()),
                    End::Refused(refused) => Err(Failure::Refused(refused.reason)),
                },
            }
        }
    }

    /// Lets running requests finish, unless asked a second time.
    pub(crate) async fn leave(&mut self, agent: &Agent, own: Option<&Embedded>) {
        self.report.stopping();
        let mut left = std::pin::pin!(async {
            agent.drain(FINISH).await;
            if let Some(own) = own {
                own.gateway().shutdown(LAST_BYTES).await;
            }
        });
        loop {
            tokio::select! {
                event = self.events.recv() => self.tell(event),
                () = &mut left => return,
                () = self.report.quit() => return,
                () = self.signals.next() => return,
            }
        }
    }

    fn tell(&mut self, event: Result<Event, RecvError>) {
        match event {
            Ok(event) => self.report.tell(&event),
            Err(RecvError::Lagged(events)) => self.report.missed(events),
            Err(RecvError::Closed) => {}
        }
    }
}

fn unbound(error: BindError) -> Failure {
    match error {
        BindError::Refused(refused) | BindError::Ended(End::Refused(refused)) => {
            Failure::Refused(refused.reason)
        }
        error => Failure::mistake(error),
    }
}
