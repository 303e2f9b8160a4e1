//! Tells what the agent does: as log lines, and on the status screen if one is open.

use adit_agent::{DialError, DialErrorKind, Event, Refused};
use time::{OffsetDateTime, UtcOffset};
use tracing::{debug, error, info, warn};

use crate::{
    reload::News,
    screen::{Request, Screen, Session, Status},
};

/// Where the agent's events go.
pub(crate) struct Report {
    status: Status,
    screen: Option<Screen>,
    offset: UtcOffset,
}

/// A refusal with its code on a line of its own, where wrappers look for it.
fn told(refused: &Refused) -> String {
    match refused.reason.rsplit_once(" (ERR_ADIT_") {
        Some((text, code)) => format!("{text}\r\n\r\nERR_ADIT_{}\r\n", code.trim_end_matches(')')),
        None => refused.reason.clone(),
    }
}

/// What a person should know when the service did not answer.
fn unreached(error: &DialError) -> String {
    match error.kind {
        DialErrorKind::Refused => format!("nothing listens on {}", error.upstream),
        _ => error.to_string(),
    }
}

// === impl Report ===

impl Report {
    /// Reports to the log, and to the screen if there is one.
    pub(crate) fn new(screen: Option<Screen>, offset: UtcOffset) -> Self {
        Self {
            status: Status::default(),
            screen,
            offset,
        }
    }

    /// Waits until the user of the screen wants to leave; for ever if there is no screen.
    pub(crate) async fn quit(&self) {
        match &self.screen {
            Some(screen) => screen.quit().await,
            None => std::future::pending().await,
        }
    }

    /// Shows a line that stands as long as the process.
    pub(crate) fn note(&mut self, label: &'static str, text: String) {
        self.change(|status| status.notes.push((label, text)));
    }

    /// The process is ending.
    pub(crate) fn stopping(&mut self) {
        info!(obj = "app", "stopping; running requests may finish");
        self.change(|status| status.session = Session::Stopping);
    }

    /// The display was too slow to be told everything.
    pub(crate) fn missed(&mut self, events: u64) {
        debug!(obj = "app", events, "events not shown");
        self.change(|status| status.missed(events));
    }

    /// Something happened.
    pub(crate) fn tell(&mut self, event: &Event) {
        match event {
            Event::Connecting => {
                debug!(obj = "csess", "connecting");
            }
            Event::Connected { session, server } => {
                info!(
                    obj = "csess",
                    id = session,
                    server,
                    "client session established"
                );
                info!(obj = "tunnels.session", "tunnel session started");
                self.change(|status| status.session = Session::Online);
            }
            Event::Disconnected { reason, retry_in } => {
                let seconds = retry_in.as_secs_f64();
                warn!(
                    obj = "csess",
                    err = reason,
                    retry = format!("{seconds:.1}s"),
                    "no session with the gateway; trying again"
                );
                self.change(|status| status.session = Session::Reconnecting(reason.clone()));
            }
            Event::Refused(refused) => {
                error!(obj = "csess", err = told(refused), "session refused");
                self.problem(refused.reason.clone());
            }
            Event::Draining => info!(obj = "csess", "the gateway is going; connecting anew"),
            Event::Latency(latency) => self.change(|status| status.latency = Some(*latency)),
            Event::Bound {
                name,
                url,
                upstream,
            } => {
                let mut news = false;
                self.change(|status| news = status.forward(name, url, upstream));
                if news {
                    info!(
                        obj = "tunnels",
                        name,
                        addr = upstream,
                        url,
                        "started tunnel"
                    );
                }
            }
            Event::BindRefused { name, refused } => {
                error!(
                    obj = "tunnels",
                    name,
                    err = told(refused),
                    "failed to start tunnel"
                );
                self.problem(format!("{name}: {}", refused.reason));
            }
            Event::Unbound { name, refused } => {
                info!(
                    obj = "tunnels",
                    name,
                    err = refused.as_ref().map(told),
                    "stopped tunnel"
                );
                if let Some(refused) = refused {
                    self.problem(format!("{name}: {}", refused.reason));
                }
            }
            Event::PolicyUpdated { name, url } => {
                info!(obj = "tunnels", name, url, "traffic policy updated");
            }
            Event::PolicyRefused { name, url, refused } => {
                error!(
                    obj = "tunnels",
                    name,
                    url,
                    err = told(refused),
                    "traffic policy not updated; the one in use stays"
                );
                self.problem(format!("{name}: {}", refused.reason));
            }
            Event::Reweighed {
                name,
                url,
                weight,
                tier,
            } => info!(obj = "tunnels", name, url, weight, tier, "weight updated"),
            Event::NotReweighed { name, url, reason } => {
                warn!(
                    obj = "tunnels",
                    name,
                    url,
                    err = reason,
                    "weight not changed"
                );
                self.problem(format!("{name}: {reason}"));
            }
            Event::Health {
                name,
                upstream,
                up,
                reason,
            } => {
                match up {
                    true => info!(obj = "health", name, addr = upstream, "service is up"),
                    false => warn!(
                        obj = "health",
                        name,
                        addr = upstream,
                        err = reason,
                        "service is down"
                    ),
                }
                self.change(|status| status.health(name, (!up).then_some(reason)));
            }
            Event::Dialed { name, upstream } => {
                debug!(obj = "join", name, addr = upstream, "join connections");
            }
            Event::DialFailed {
                name,
                upstream,
                error,
            } => {
                let err = unreached(error);
                error!(
                    obj = "join",
                    name,
                    addr = upstream,
                    err,
                    "service not reached"
                );
                self.problem(err);
            }
            Event::Exchange {
                name,
                method,
                path,
                status,
                duration,
                missed,
            } => {
                let micros = duration.as_micros();
                debug!(obj = "http", name, method, path, status, micros, "request");
                let at = self.now();
                self.change(|shown| {
                    shown.missed(*missed);
                    shown.request(Request {
                        at,
                        method: method.clone(),
                        path: path.clone(),
                        status: *status,
                        duration: *duration,
                    });
                });
            }
            // Whatever a later agent tells is no business of this display.
            _ => {}
        }
    }

    /// Something about the files that the endpoints' policies are in.
    pub(crate) fn tell_news(&mut self, news: News) {
        match news {
            News::Refused(mistakes) => {
                error!(
                    obj = "policies",
                    err = mistakes,
                    "not reloaded; what is in use stays"
                );
                self.problem(mistakes);
            }
            News::Right => info!(obj = "policies", "the files are right again"),
            News::Warning(text) => warn!(obj = "policies", "{text}"),
            News::Waiting(keys) => warn!(
                obj = "policies",
                keys = keys.join(", "),
                "changed settings that are applied by a restart only"
            ),
            News::Deaf(why) => warn!(
                obj = "policies",
                err = why,
                "files cannot be watched, so they are looked at once a minute"
            ),
            News::Answer(Some(changed)) => {
                info!(obj = "policies", changed, "the files were read again");
            }
            News::Answer(None) => warn!(
                obj = "policies",
                "the files were read again and are not right; what is in use stays"
            ),
        }
    }

    fn problem(&mut self, text: String) {
        let at = self.now();
        self.change(|status| status.problem(at, text));
    }

    fn change(&mut self, change: impl FnOnce(&mut Status)) {
        match &self.screen {
            Some(screen) => screen.update(change),
            None => change(&mut self.status),
        }
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc().to_offset(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use adit_agent::RefusalCode;

    use super::*;

    #[test]
    fn a_refusals_code_stands_on_its_own_line() {
        let mut refused = Refused {
            code: RefusalCode::Token,
            reason: "the authtoken is unknown (ERR_ADIT_107)".to_owned(),
            retryable: false,
        };
        assert_eq!(
            told(&refused),
            "the authtoken is unknown\r\n\r\nERR_ADIT_107\r\n"
        );
        refused.reason = "no (reason)".to_owned();
        assert_eq!(told(&refused), "no (reason)");
    }
}
