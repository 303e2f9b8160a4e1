//! `health_check` of an upstream: in short, or with all its settings.

use std::{fmt, str::FromStr, time::Duration};

use adit_policy::go_duration::GoDuration;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::file::Parsed;
use crate::{HealthCheck, HealthCheckError, health::Statuses};

/// A check that can be made.
#[derive(Debug)]
pub(super) struct CheckText(pub(super) HealthCheck);

/// All its settings; exactly one of the first three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The path to `GET`.
    http: Option<Parsed<HttpText>>,
    /// Only ever true.
    tcp: Option<bool>,
    /// The name of the service, or an empty one for the whole server.
    grpc: Option<Parsed<GrpcText>>,
    host: Option<String>,
    statuses: Option<Parsed<Statuses>>,
    interval: Option<GoDuration>,
    timeout: Option<GoDuration>,
    up_after: Option<u32>,
    down_after: Option<u32>,
}

struct HttpText(HealthCheck);

struct GrpcText(HealthCheck);

struct CheckVisitor;

impl<'de> Deserialize<'de> for CheckText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CheckVisitor).map(Self)
    }
}

impl<'de> Visitor<'de> for CheckVisitor {
    type Value = HealthCheck;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a health check, as in /healthz or { http: /healthz, interval: 5s }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<HealthCheck, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HealthCheck, A::Error> {
        let settings = Settings::deserialize(MapAccessDeserializer::new(map))?;
        settings.check().map_err(A::Error::custom)
    }
}

// === impl Settings ===

impl Settings {
    fn check(self) -> Result<HealthCheck, String> {
        let text = |error: HealthCheckError| error.to_string();
        let mut check = match (self.http, self.tcp, self.grpc) {
            (Some(Parsed(HttpText(check))), None, None) => check,
            (None, Some(true), None) => HealthCheck::tcp(),
            (None, None, Some(Parsed(GrpcText(check)))) => check,
            _ => {
                return Err(
                    "a health check has exactly one of http: PATH, tcp: true and grpc: NAME".into(),
                );
            }
        };
        if let Some(host) = self.host {
            check = check.host(&host).map_err(text)?;
        }
        if let Some(Parsed(statuses)) = self.statuses {
            check = check.with_statuses(statuses).map_err(text)?;
        }
        if let Some(GoDuration(interval)) = self.interval {
            if interval < Duration::from_millis(100) || interval > Duration::from_secs(3600) {
                return Err("interval is from 100ms to 1h".into());
            }
            check = check.interval(interval);
        }
        if let Some(GoDuration(timeout)) = self.timeout {
            if timeout.is_zero() || timeout > Duration::from_secs(3600) {
                return Err("timeout is more than 0s and at most 1h".into());
            }
            check = check.timeout(timeout);
        }
        for (name, given) in [("up_after", self.up_after), ("down_after", self.down_after)] {
            if given == Some(0) {
                return Err(format!("{name} is at least 1"));
            }
        }
        check = check.up_after(self.up_after.unwrap_or(1));
        Ok(check.down_after(self.down_after.unwrap_or(2)))
    }
}

impl FromStr for HttpText {
    type Err = HealthCheckError;

    fn from_str(path: &str) -> Result<Self, HealthCheckError> {
        HealthCheck::http(path).map(Self)
    }
}

impl FromStr for GrpcText {
    type Err = HealthCheckError;

    fn from_str(service: &str) -> Result<Self, HealthCheckError> {
        HealthCheck::grpc(service).map(Self)
    }
}
