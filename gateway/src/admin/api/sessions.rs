//! `/tunnel_sessions`: the agents that are connected.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use adit_wire::message::{RefusalCode, Refused};
use tokio::time::timeout;

use super::{
    super::resources::{Reference, TunnelSession, TunnelSessions},
    Answered, Api, Change,
    asked::Asked,
    json,
    paging::Paging,
    problem::Problem,
    steps,
};
use crate::{moment, pools::session::Session, printable::printable};

/// How long an agent may take to hear that it is to go.
const GOODBYE: Duration = Duration::from_secs(1);

/// Endpoints by the session that serves them.
type Served = HashMap<u64, Vec<Reference>>;

pub(super) fn list(api: &Api, asked: &Asked) -> Answered {
    asked.knows(&["limit", "before_id"])?;
    let paging = Paging::of(asked)?;
    let before = match paging.before_id {
        None => None,
        Some(id) => Some(number(api, id)?),
    };
    let mut sessions = api.view.edge.sessions.all();
    sessions.retain(|session| before.is_none_or(|before| session.id < before));
    sessions.sort_by_key(|session| Reverse(session.id));
    sessions.truncate(paging.limit + 1);
    let served = served(api);
    let shown = sessions.iter().map(|session| shown(api, session, &served));
    let page = paging.page::<TunnelSessions>(shown.collect(), |session| &session.id);
    json(&page)
}

pub(super) fn one(api: &Api, asked: &Asked, id: &str) -> Answered {
    asked.knows(&[])?;
    let session = find(api, id)?;
    json(&shown(api, &session, &served(api)))
}

/// `stop`: the session ends, and its agent is told not to come again by itself. `drain`: it gets nothing new, and what
/// runs goes on.
pub(super) async fn end<B>(api: &Api, id: &str, what: &str, change: &Change<'_, B>) -> Answered {
    let session = find(api, id)?;
    change.log(what, id);
    session.drain();
    if what == "stop" {
        let told = session.part(Refused {
            code: RefusalCode::Unavailable,
            reason: "the gateway's operator has ended this session".to_owned(),
            retryable: false,
        });
        // One that speaks an older protocol sees its connection end, and comes again.
        if timeout(GOODBYE, told).await.unwrap_or(false) {
            drop(timeout(GOODBYE, session.end.cancelled()).await);
        }
        session.close();
    }
    json(&shown(api, &session, &served(api)))
}

fn number(api: &Api, id: &str) -> Result<u64, Problem> {
    let number = api.view.edge.ids.session_of(id);
    number.ok_or_else(|| Problem::not_found(format_args!("there is no session {id}")))
}

fn find(api: &Api, id: &str) -> Result<Arc<Session>, Problem> {
    let session = api.view.edge.sessions.find(number(api, id)?);
    session.ok_or_else(|| Problem::not_found(format_args!("there is no session {id}")))
}

fn served(api: &Api) -> Served {
    let mut served = Served::new();
    for endpoint in api.view.edge.endpoints.snapshot().online() {
        for member in endpoint.pool.members().iter() {
            let endpoints = served.entry(member.session.id).or_default();
            endpoints.push(steps::endpoint(endpoint.id.to_string()));
        }
    }
    served
}

fn shown(api: &Api, session: &Session, served: &Served) -> TunnelSession {
    let id = api.view.edge.ids.session(session.id);
    let about = session.about();
    let text = |text: &str| printable(text).into_owned();
    TunnelSession {
        uri: format!("/tunnel_sessions/{id}"),
        id,
        agent: text(&session.owner),
        agent_version: text(about.map_or("", |about| &about.client)),
        ip: about.map(|about| about.peer.to_string()),
        started_at: moment::millis(about.map_or(SystemTime::UNIX_EPOCH, |about| about.since)),
        transport: "adit/1".to_owned(),
        metadata: text(about.map_or("", |about| &about.metadata)),
        draining: session.is_draining(),
        silent_ms: u64::try_from(session.pulse.silence().as_millis()).unwrap_or(u64::MAX),
        endpoints: served.get(&session.id).cloned().unwrap_or_default(),
    }
}
