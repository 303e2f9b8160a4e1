//! `GET /health`: whether traffic may be sent here, and whether the operator should look.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use http::StatusCode;
use serde::Serialize;

use super::{
    View,
    open::Answer,
    resources::{self, Reason},
    view,
};
use crate::{edge::Edge, moment};

#[derive(Serialize)]
struct Health<'a> {
    /// `ok`; `degraded`: it serves, with an older configuration than its files say, or with a certificate that ends
    /// within two weeks; `draining`: it takes nothing new.
    status: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    endpoints: usize,
    sessions: usize,
    policies: Policies<'a>,
    /// Those of files.
    certificates: Vec<Certificate>,
    /// Who serves the endpoints that the configuration declares, and those others that miss somebody.
    pools: Vec<Pool>,
    /// Pools for which there was no room.
    pools_left_out: usize,
}

#[derive(Serialize)]
struct Certificate {
    file: PathBuf,
    /// The hosts it is for.
    names: Vec<String>,
    not_after: String,
    /// Whether it lasts for two more weeks.
    ok: bool,
}

/// What is up of an endpoint, and why the rest is not. Whoever asks shows no token, so it tells agents by their names in
/// the configuration, and nothing of where they are.
#[derive(Serialize)]
struct Pool {
    url: String,
    up: usize,
    of: usize,
    down: Vec<Down>,
}

#[derive(Serialize)]
struct Down {
    agent: String,
    reasons: Vec<Reason>,
}

/// Pools that are told of, and members of each that are down.
const POOLS: usize = 100;
const DOWN: usize = 100;

#[derive(Serialize)]
struct Policies<'a> {
    ok: bool,
    /// When those in use came into use.
    loaded_at: String,
    /// The configuration that is watched.
    file: Option<&'a Path>,
    /// The first mistake in the files as they are now.
    error: Option<&'a str>,
    /// Reloads that were refused since the start.
    failures: u64,
}

/// 200 while the gateway serves, 503 while it drains.
pub(super) fn health(view: &View) -> Answer {
    let edge = &view.edge;
    let status = edge.policies.load();
    let draining = view.stop.is_cancelled();
    let certificates = certificates(edge);
    let well = status.error.is_none() && certificates.iter().all(|one| one.ok);
    let mut pools = pools(edge);
    let pools_left_out = pools.len().saturating_sub(POOLS);
    pools.truncate(POOLS);
    let health = Health {
        status: word(draining, well),
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: edge.started.elapsed().as_secs(),
        endpoints: edge.endpoints.snapshot().online().count(),
        sessions: edge.sessions.count(),
        policies: Policies {
            ok: status.error.is_none(),
            loaded_at: moment::seconds(status.loaded_at),
            file: status.file.as_deref(),
            error: status.error.as_deref(),
            failures: status.refused,
        },
        certificates,
        pools,
        pools_left_out,
    };
    let code = match draining {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => StatusCode::OK,
    };
    match serde_json::to_string(&health) {
        Ok(json) => Answer::Json(code, json + "\n"),
        // A path that is no text.
        Err(_) => Answer::Refusal(code, "the path of the configuration is not UTF-8\n"),
    }
}

fn certificates(edge: &Edge) -> Vec<Certificate> {
    let now = SystemTime::now();
    let expiries = edge.certificates.expiries().into_iter();
    let certificates = expiries.map(|one| Certificate {
        ok: !one.is_soon(now),
        not_after: moment::seconds(one.not_after),
        file: one.file,
        names: one.names,
    });
    certificates.collect()
}

/// By URL.
fn pools(edge: &Edge) -> Vec<Pool> {
    let routes = edge.endpoints.snapshot();
    let all = routes
        .online()
        .map(|endpoint| view::endpoint(edge, endpoint, None));
    let told =
        all.filter(|endpoint| endpoint.declared || endpoint.members_up < endpoint.members.len());
    let mut pools: Vec<_> = told.map(pool).collect();
    pools.sort_by(|one, other| one.url.cmp(&other.url));
    pools
}

fn pool(endpoint: resources::Endpoint) -> Pool {
    let of = endpoint.members.len();
    let down = endpoint.members.into_iter().filter(|member| !member.up);
    let down = down.map(|member| Down {
        agent: member.agent,
        reasons: member.reasons,
    });
    Pool {
        url: endpoint.url,
        up: endpoint.members_up,
        of,
        down: down.take(DOWN).collect(),
    }
}

fn word(draining: bool, well: bool) -> &'static str {
    match (draining, well) {
        (true, _) => "draining",
        (false, true) => "ok",
        (false, false) => "degraded",
    }
}
