//! `GET /health`: whether traffic may be sent here, and whether the operator should look.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use http::StatusCode;
use serde::Serialize;

use super::{Answer, View};
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

fn word(draining: bool, well: bool) -> &'static str {
    match (draining, well) {
        (true, _) => "draining",
        (false, true) => "ok",
        (false, false) => "degraded",
    }
}
