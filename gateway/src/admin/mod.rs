//! What the operator sees and changes: two listeners, apart from all traffic and from each other.
//!
//! - [`listener`]: a listener with its thread; [`host`]: whom it answers
//! - [`open`]: what anybody may ask who can reach it: [`health`] and [`metrics`]
//! - [`api`]: the admin API, for whoever has its token; [`resources`]: what it answers
//! - [`view`]: how endpoints and members are, read once for all of them; [`rates`]: what happens in a second

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

mod api;
mod health;
mod host;
mod listener;
mod metrics;
mod open;
mod rates;
pub mod resources;
mod view;

pub(crate) use api::Api;
pub(crate) use listener::Admin;

use crate::{edge::Edge, sockets::Role};

/// What is looked at.
pub(crate) struct View {
    pub(crate) edge: Arc<Edge>,
    /// Cancelled once the gateway takes no new traffic.
    pub(crate) stop: CancellationToken,
}

/// What a listener answers.
pub(crate) enum Site {
    Open(View),
    Api(Box<Api>),
}

// === impl Site ===

impl Site {
    /// What belongs behind a listener.
    ///
    /// # Errors
    /// When the API's token cannot be written.
    pub(crate) fn of(role: Role, view: View) -> io::Result<Self> {
        match role {
            Role::Api => Ok(Self::Api(Box::new(Api::open(view)?))),
            _ => Ok(Self::Open(view)),
        }
    }

    fn edge(&self) -> Arc<Edge> {
        Arc::clone(match self {
            Self::Open(view) => &view.edge,
            Self::Api(api) => &api.view.edge,
        })
    }

    /// `local`: the listener has a loopback address.
    async fn answer(&self, request: Request<Incoming>, local: bool) -> Response<Full<Bytes>> {
        match self {
            Self::Open(view) => open::answer(&request, local, view),
            Self::Api(api) => api.answer(request, local).await,
        }
    }

    /// What is done beside the answers, for ever.
    async fn keep(&self) {
        match self {
            Self::Open(_) => std::future::pending().await,
            Self::Api(api) => api.rates.keep(&api.view.edge).await,
        }
    }
}
