//! Which endpoint id of a session means which service: the only thing a gateway can choose from.

use std::{collections::HashMap, sync::Arc, time::Duration};

use adit_wire::message::{DialError, DialErrorKind};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{Stream, dial::Dialer};

/// How long a stream may wait for the answer to a bind that it overtook.
const OVERTAKEN: Duration = Duration::from_secs(5);

/// The endpoints of one session.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    pub(crate) by_id: HashMap<u64, Arc<Route>>,
    /// Binds that have no answer yet.
    pub(crate) asked: usize,
    /// Whether new streams are turned away.
    pub(crate) draining: bool,
}

/// Where the streams of an endpoint go.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) target: Target,
}

#[derive(Debug)]
pub(crate) enum Target {
    /// To the service of the user's configuration.
    Dial(Arc<Dialer>),
    /// To a [`Listener`](crate::Listener) in this program.
    Hand(mpsc::Sender<Stream>),
}

/// The route of an endpoint, or the answer that there is none.
///
/// A stream may overtake the message that names its endpoint, because the two travel on streams,
/// and even connections, of their own. So while a bind has no answer, an unknown id is waited for.
pub(crate) async fn find(
    routes: &mut watch::Receiver<Routes>,
    id: u64,
) -> Result<Arc<Route>, DialError> {
    let known =
        |routes: &Routes| routes.draining || routes.asked == 0 || routes.by_id.contains_key(&id);
    match timeout(OVERTAKEN, routes.wait_for(known)).await {
        Ok(Ok(routes)) if routes.draining => {
            Err(none(DialErrorKind::Draining, "the agent is shutting down"))
        }
        Ok(Ok(routes)) => match routes.by_id.get(&id) {
            Some(route) => Ok(Arc::clone(route)),
            None => Err(unknown()),
        },
        Ok(Err(_)) | Err(_) => Err(unknown()),
    }
}

fn unknown() -> DialError {
    none(
        DialErrorKind::UnknownEndpoint,
        "this agent has no such endpoint",
    )
}

fn none(kind: DialErrorKind, detail: &str) -> DialError {
    DialError {
        kind,
        upstream: String::new(),
        detail: detail.into(),
    }
}
