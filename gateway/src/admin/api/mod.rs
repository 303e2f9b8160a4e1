//! The admin API: sessions, endpoints and their members to look at and to change, and the last exchanges.
//!
//! - [`door`]: who may; [`asked`]: what a request asks for; [`problem`]: how it is refused
//! - [`sessions`], [`endpoints`], [`mirrors`], [`traces`]: the resources; [`paging`]: long lists; [`steps`]: an exchange as it is shown
//!
//! It has a listener of its own, so that whoever may look at metrics may change nothing. `docs/admin-api.md` is for those
//! who use it.

use std::io;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Serialize;
use tracing::info;

mod asked;
mod door;
mod endpoints;
mod mirrors;
pub(super) mod paging;
mod problem;
mod sessions;
mod steps;
mod traces;

use self::{
    asked::Asked,
    door::{Caller, Door},
    problem::Problem,
};
use super::{View, host, open::respond, rates::Rates};

/// The admin API of a running gateway.
pub(crate) struct Api {
    pub(super) view: View,
    door: Door,
    pub(super) rates: Rates,
}

/// The JSON of an answer.
type Answered = Result<String, Problem>;

impl Api {
    /// Makes a new local token.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn open(view: View) -> io::Result<Self> {
        let config = &view.edge.config;
        let door = Door::open(&config.api, &config.data_dir)?;
        Ok(Self {
            view,
            door,
            rates: Rates::default(),
        })
    }

    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        local: bool,
    ) -> Response<Full<Bytes>> {
        let answered = match self.admit(&request, local) {
            Ok(caller) => self.route(request, caller).await,
            Err(problem) => Err(problem),
        };
        match answered {
            Ok(json) => respond(StatusCode::OK, "application/json", json.into()),
            Err(problem) => {
                let unauthorized = problem.status == StatusCode::UNAUTHORIZED;
                let mut response = problem.response();
                if unauthorized {
                    let scheme = header::HeaderValue::from_static("Bearer");
                    response
                        .headers_mut()
                        .insert(header::WWW_AUTHENTICATE, scheme);
                }
                response
            }
        }
    }

    fn admit<B>(&self, request: &Request<B>, local: bool) -> Result<Caller, Problem> {
        if local && !host::is_local(request) {
            return Err(Problem::forbidden(
                "only localhost and addresses are hosts here",
            ));
        }
        // Programs have no origin. A page that has somebody's token should not have got it.
        if request.headers().contains_key(header::ORIGIN) {
            return Err(Problem::forbidden("pages in browsers are not answered"));
        }
        let agents = &self.view.edge.credentials;
        self.door.admit(request.headers(), agents)
    }

    async fn route(&self, request: Request<Incoming>, caller: Caller) -> Answered {
        let (parts, body) = request.into_parts();
        let asked = Asked::read(&parts.method, &parts.uri, &parts.headers)?;
        let change = Change {
            headers: &parts.headers,
            body,
            caller,
        };
        match asked.names()[..] {
            ["tunnel_sessions"] => only(&asked, Method::GET, sessions::list(self, &asked)),
            ["tunnel_sessions", id] => only(&asked, Method::GET, sessions::one(self, &asked, id)),
            ["tunnel_sessions", id, what @ ("stop" | "drain")] => {
                post(&asked)?;
                sessions::end(self, id, what, &change).await
            }
            ["endpoints"] => only(&asked, Method::GET, endpoints::list(self, &asked)),
            ["endpoints", id] => only(&asked, Method::GET, endpoints::one(self, &asked, id)),
            ["endpoints", id, "members", member] if asked.method == Method::PATCH => {
                asked.knows(&[])?;
                endpoints::reweigh(self, id, member, change).await
            }
            ["endpoints", id, "members", member] => match asked.method {
                Method::GET => endpoints::member(self, &asked, id, member),
                _ => Err(Problem::method("GET and PATCH")),
            },
            ["endpoints", id, "members", member, "drain"] => {
                post(&asked)?;
                endpoints::drain(self, id, member, &change)
            }
            ["mirrors"] => only(&asked, Method::GET, mirrors::list(self, &asked)),
            ["traces"] => only(&asked, Method::GET, traces::list(self, &asked)),
            ["traces", "capture"] => traces::capture(self, &asked, change).await,
            ["traces", id] => only(&asked, Method::GET, traces::one(self, &asked, id)),
            _ => Err(Problem::not_found(
                "there are /tunnel_sessions, /endpoints, /mirrors and /traces",
            )),
        }
    }
}

/// What a request that changes something brings along.
struct Change<'a, B> {
    headers: &'a HeaderMap,
    body: B,
    caller: Caller,
}

// === impl Change ===

impl<B> Change<'_, B> {
    /// Every change is written down, and who made it.
    fn log(&self, what: &str, id: &str) {
        info!(target: "adit::audit", by = self.caller.name(), what, id, "changed at the admin API");
    }
}

fn only(asked: &Asked, method: Method, answered: Answered) -> Answered {
    match asked.method == method {
        true => answered,
        false => Err(Problem::method(method.as_str())),
    }
}

fn post(asked: &Asked) -> Result<(), Problem> {
    asked.knows(&[])?;
    match asked.method {
        Method::POST => Ok(()),
        _ => Err(Problem::method("POST")),
    }
}

fn json(value: &impl Serialize) -> Answered {
    match serde_json::to_string(value) {
        Ok(text) => Ok(text + "\n"),
        Err(error) => Err(Problem::body(error)),
    }
}
