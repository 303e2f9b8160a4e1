//! `GET /health`: whether traffic may be sent here, and whether the operator should look.

use std::path::Path;

use http::StatusCode;
use serde::Serialize;

use super::{Answer, View};
use crate::{moment, reload::Status};

#[derive(Serialize)]
struct Health<'a> {
    /// `ok`; `degraded`: it serves, with older policies than its files say; `draining`: it takes nothing new.
    status: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    endpoints: usize,
    sessions: usize,
    policies: Policies<'a>,
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
    let health = Health {
        status: word(draining, &status),
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

fn word(draining: bool, status: &Status) -> &'static str {
    match (draining, &status.error) {
        (true, _) => "draining",
        (false, Some(_)) => "degraded",
        (false, None) => "ok",
    }
}
