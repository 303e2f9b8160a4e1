//! The provider is asked again: whether somebody still may come in, and who they are.
//!
//! Many requests of a session come at once, and a refresh token is good for one use: a second one makes providers take
//! the first for stolen. So one request to the provider is under way for a session at a time, all wait for it, and it goes
//! on when they have gone. What comes of it is kept for a while, for those who still come with the older cookie.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::admit::Came;
use super::carrier::Carrier;
use super::cookies::Names;
use super::pages::Trouble;
use super::provider::{Client, Failed, Provider};
use super::return_to::ReturnTo;
use super::session::Session;
use super::settings::Settings;
use super::{Login, caller};
use crate::action::{Fault, Flow};
use crate::env::{Ended, Env};
use crate::exchange::Exchange;

/// The requests to providers that are under way, by the id of their session.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Arc<str>, Flight>>);

type Flight = Shared<BoxFuture<'static, Landed>>;

/// What came of one.
#[derive(Clone)]
enum Landed {
    /// The session as it is now, and whether this request has asked for it.
    Renewed(Arc<Session>, bool),
    /// The provider could not be asked; the session goes on as it is.
    Unanswered(Arc<Session>, Failed),
    /// The session is over.
    Refused(Failed),
}

/// What is needed to ask, whoever still waits.
struct Question {
    provider: Arc<dyn Provider>,
    client: Client,
    session: Session,
    version: u32,
    names: Arc<Names>,
    settings: Arc<Settings>,
    /// What cookies of the session are sealed for.
    context: Vec<u8>,
    env: Env,
}

impl Login {
    /// Goes on with a session that the provider has been asked about.
    pub(super) async fn refresh(
        &self,
        session: Session,
        exchange: &mut Exchange<'_>,
    ) -> Result<Flow, Fault> {
        let client = self.client(exchange)?;
        let carrier = self.carrier(exchange)?;
        let (session, is_fresh) = match self.ask(&session, client, &carrier).await {
            Landed::Renewed(session, is_fresh) => (session, is_fresh),
            Landed::Unanswered(session, failed) => {
                self.warn(exchange, &format!("a session goes on unseen: {failed}"));
                (session, false)
            }
            Landed::Refused(failed) => {
                self.warn(exchange, &format!("a session has ended: {failed}"));
                return self.refused(&carrier, exchange).await;
            }
        };
        if session.over(&self.settings, exchange.env).is_some() {
            return self.refused(&carrier, exchange).await;
        }
        let came = Came {
            renews: true,
            is_fresh,
        };
        self.admit(Session::clone(&session), came, exchange)
    }

    async fn refused(
        &self,
        carrier: &Carrier<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Result<Flow, Fault> {
        let request = exchange.request()?;
        if caller::is_navigation(request) {
            let return_to = ReturnTo::of(request);
            return self.begin(&return_to, false, exchange).await;
        }
        let refusal = self.unauthorized(Trouble::RefusedAtRefresh, exchange, carrier)?;
        Ok(Flow::Refuse(refusal))
    }

    /// What the provider says, or has said to another request of the session.
    async fn ask(&self, session: &Session, client: Client, carrier: &Carrier<'_>) -> Landed {
        let id = &session.keys.id;
        let (flight, is_new) = {
            let mut flights = self.flights.all();
            if let Some(flight) = flights.get(id) {
                (flight.clone(), false)
            } else if let Some(newest) = self.newer(session, carrier) {
                return Landed::Renewed(Arc::new(newest), false);
            } else {
                let question = Question {
                    provider: Arc::clone(&self.provider),
                    client,
                    session: session.clone(),
                    version: self.version,
                    names: Arc::clone(&self.names),
                    settings: Arc::clone(&self.settings),
                    context: carrier.context.clone(),
                    env: carrier.env.clone(),
                };
                let flight = question.fly(Arc::clone(&self.flights)).boxed().shared();
                flights.insert(Arc::clone(id), flight.clone());
                (flight, true)
            }
        };
        if is_new {
            // A browser that goes away must not take a new refresh token with it.
            let goes_on = flight.clone();
            carrier
                .env
                .work()
                .spawn(Box::pin(async move { drop(goes_on.await) }));
        }
        flight.await
    }

    fn newer(&self, session: &Session, carrier: &Carrier<'_>) -> Option<Session> {
        let newest = carrier.newest(&session.keys.id)?;
        let now = carrier.env.clock().now();
        let seen = session.seen.max(newest.seen);
        let is_newer = !newest.is_due(&self.settings, self.version, now);
        is_newer.then_some(Session { seen, ..newest })
    }
}

// === impl Question ===

impl Question {
    /// Asks, keeps what comes of it, and takes itself off the list.
    async fn fly(self, flights: Arc<Flights>) -> Landed {
        let landed = self.ask().await;
        let now = self.env.clock().now();
        match &landed {
            Landed::Renewed(session, _) | Landed::Unanswered(session, _) => {
                let carrier = Carrier {
                    names: &self.names,
                    settings: &self.settings,
                    issuer: &self.session.keys.issuer,
                    context: self.context.clone(),
                    env: &self.env,
                };
                carrier.keep_newest(session);
            }
            Landed::Refused(_) => {
                let id = Arc::clone(&self.session.keys.id);
                let until = self.session.end(&self.settings);
                self.env.sessions().end(Ended::Session(id), now, until);
            }
        }
        flights.all().remove(&self.session.keys.id);
        landed
    }

    async fn ask(&self) -> Landed {
        let Self {
            session,
            client,
            env,
            ..
        } = self;
        let subject = &session.person.subject;
        let answer = self
            .provider
            .refresh(&session.tokens, subject, client, env)
            .await;
        let now = env.clock().now();
        match answer {
            Ok(signed_in) if signed_in.person.subject == *subject => {
                let renewed = session.renewed(signed_in, self.version, now);
                Landed::Renewed(Arc::new(renewed), true)
            }
            Ok(_) => {
                let why = "it speaks of somebody else now".to_owned();
                Landed::Refused(Failed::Unbelievable(why))
            }
            Err(failed @ Failed::Unreachable(_)) => {
                let session = Arc::new(session.asked(self.version, now));
                Landed::Unanswered(session, failed)
            }
            Err(failed) => Landed::Refused(failed),
        }
    }
}

// === impl Flights ===

impl Flights {
    // Nothing panics while it holds the lock.
    fn all(&self) -> MutexGuard<'_, HashMap<Arc<str>, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}
