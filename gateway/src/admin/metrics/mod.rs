//! `GET /metrics`: the counters, in the text format that Prometheus reads.

use std::time::UNIX_EPOCH;

use adit_policy::limit::Limiters;

mod page;
mod pools;

use self::page::Page;
use crate::{counts::Counts, edge::Edge};

/// Everything there is to tell.
///
/// Labels take their values from the operator's configuration, never from clients or agents, so that nobody
/// else can make a series: endpoints of agents are told together.
pub(super) fn metrics(edge: &Edge) -> String {
    let mut page = Page::default();
    page.gauge("adit_build_info", "The version that runs.");
    page.sample(
        "adit_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1,
    );
    page.gauge("adit_uptime_seconds", "Time since the gateway was started.");
    page.sample("adit_uptime_seconds", &[], edge.started.elapsed().as_secs());
    traffic(&mut page, edge);
    pools::pools(&mut page, edge);
    policies(&mut page, edge);
    certificates(&mut page, edge);
    limits(&mut page, edge);
    mirrors(&mut page, edge);
    page.text()
}

fn traffic(page: &mut Page, edge: &Edge) {
    let routes = edge.endpoints.snapshot();
    let mut by_endpoint: Vec<(String, &Counts)> = routes
        .online()
        .filter(|endpoint| endpoint.declared)
        .map(|endpoint| (endpoint.url.to_string(), &*endpoint.counts))
        .collect();
    by_endpoint.sort_by(|(one, _), (other, _)| one.cmp(other));
    by_endpoint.push(("agents".to_owned(), &edge.endpoints.agents));

    page.gauge(
        "adit_connections",
        "Client and agent connections that are open.",
    );
    page.sample("adit_connections", &[], edge.doorkeeper.count());
    page.gauge("adit_sessions", "Agent sessions that are open.");
    page.sample("adit_sessions", &[], edge.sessions.count());
    page.gauge(
        "adit_requests_held",
        "Requests that wait for agents that are on their way, after a restart.",
    );
    page.sample("adit_requests_held", &[], edge.awaited.held());
    page.gauge("adit_endpoints", "Endpoints, whoever declared them.");
    page.sample("adit_endpoints", &[], routes.online().count());

    page.counter(
        "adit_exchanges_total",
        "Exchanges by the class of their response; \"none\" if the client got none. Endpoints that agents declared \
         are told as \"agents\", requests for no endpoint as \"none\".",
    );
    let nowhere = ("none", &edge.endpoints.nowhere);
    let somewhere = by_endpoint
        .iter()
        .map(|(name, counts)| (name.as_str(), *counts));
    for (endpoint, counts) in somewhere.chain([nowhere]) {
        for (status, count) in counts.exchanges() {
            let labels = [("endpoint", endpoint), ("status", status)];
            page.sample("adit_exchanges_total", &labels, count);
        }
    }
    let duration = "adit_exchange_duration_seconds";
    page.histogram(
        duration,
        "From a request to the end of its response, without those that become another protocol.",
    );
    let somewhere = by_endpoint
        .iter()
        .map(|(name, counts)| (name.as_str(), *counts));
    for (endpoint, counts) in somewhere.chain([nowhere]) {
        page.latency(duration, endpoint, counts.latency());
    }
    if let Some(access) = &edge.access {
        page.counter(
            "adit_access_log_lost_total",
            "Lines of the access log that were lost because its disk or reader was too slow.",
        );
        page.sample("adit_access_log_lost_total", &[], access.lost());
    }
    page.counter(
        "adit_policy_verdicts_total",
        "Phases of policies, the operator's and the agents', by how they ended.",
    );
    for (endpoint, counts) in &by_endpoint {
        for (verdict, count) in counts.verdicts() {
            let labels = [("endpoint", endpoint.as_str()), ("verdict", verdict)];
            page.sample("adit_policy_verdicts_total", &labels, count);
        }
    }
    page.counter(
        "adit_action_verdicts_total",
        "How often an action had the last word in a phase, by its type and its word; \"expressions\" where those of a \
         rule have failed.",
    );
    for (endpoint, counts) in &by_endpoint {
        for (action, verdict, count) in counts.last_words() {
            let labels = [
                ("endpoint", endpoint.as_str()),
                ("action", action),
                ("verdict", verdict),
            ];
            page.sample("adit_action_verdicts_total", &labels, count);
        }
    }
    page.counter(
        "adit_policy_shadow_total",
        "Rules in shadow mode that matched, by what they would have done.",
    );
    for (endpoint, counts) in &by_endpoint {
        for (verdict, count) in counts.shadows() {
            let labels = [("endpoint", endpoint.as_str()), ("verdict", verdict)];
            page.sample("adit_policy_shadow_total", &labels, count);
        }
    }
    tcp(page, &by_endpoint);
}

/// Of endpoints without HTTP.
fn tcp(page: &mut Page, by_endpoint: &[(String, &Counts)]) {
    let all = || {
        let is_tcp = |name: &str| name.starts_with("tcp://") || name == "agents";
        by_endpoint.iter().filter(move |(name, _)| is_tcp(name))
    };
    page.counter(
        "adit_tcp_connections_total",
        "Connections of tcp endpoints by how they ended.",
    );
    for (endpoint, counts) in all() {
        for (end, count) in counts.tcp.ends() {
            let labels = [("endpoint", endpoint.as_str()), ("end", end)];
            page.sample("adit_tcp_connections_total", &labels, count);
        }
    }
    page.counter(
        "adit_tcp_bytes_total",
        "Bytes of ended connections of tcp endpoints, from clients (in) and to them (out).",
    );
    for (endpoint, counts) in all() {
        for (direction, bytes) in counts.tcp.bytes() {
            let labels = [("endpoint", endpoint.as_str()), ("direction", direction)];
            page.sample("adit_tcp_bytes_total", &labels, bytes);
        }
    }
}

fn policies(page: &mut Page, edge: &Edge) {
    let status = edge.policies.load();
    page.counter(
        "adit_policy_reloads_total",
        "Reloads of the configuration; a refused one changes nothing.",
    );
    for (outcome, count) in [("applied", status.applied), ("refused", status.refused)] {
        page.sample("adit_policy_reloads_total", &[("outcome", outcome)], count);
    }
    page.gauge(
        "adit_policy_ok",
        "1 if what is in use is what the files say, 0 if the files have a mistake.",
    );
    page.sample("adit_policy_ok", &[], u8::from(status.error.is_none()));
    page.gauge(
        "adit_policy_loaded_timestamp_seconds",
        "When the configuration in use came into use.",
    );
    let loaded = status.loaded_at.duration_since(UNIX_EPOCH);
    page.sample(
        "adit_policy_loaded_timestamp_seconds",
        &[],
        loaded.unwrap_or_default().as_secs(),
    );
}

fn certificates(page: &mut Page, edge: &Edge) {
    page.gauge(
        "adit_certificate_not_after_timestamp_seconds",
        "When a certificate of the configuration ends.",
    );
    for expiry in edge.certificates.expiries() {
        let file = expiry.file.display().to_string();
        let ends = expiry.not_after.duration_since(UNIX_EPOCH);
        page.sample(
            "adit_certificate_not_after_timestamp_seconds",
            &[("file", &file)],
            ends.unwrap_or_default().as_secs(),
        );
    }
}

fn limits(page: &mut Page, edge: &Edge) {
    let limiters = Limiters::of(&edge.policy_env);
    page.gauge(
        "adit_rate_limit_buckets",
        "Buckets of rate limits that are kept.",
    );
    page.sample("adit_rate_limit_buckets", &[], limiters.len());
    page.counter(
        "adit_rate_limit_buckets_dropped_total",
        "Buckets of rate limits that were forgotten because there were too many.",
    );
    page.sample(
        "adit_rate_limit_buckets_dropped_total",
        &[],
        limiters.dropped(),
    );
}

fn mirrors(page: &mut Page, edge: &Edge) {
    for family in edge.mirrors.families() {
        page.begin(family.name, family.kind, family.help);
        for sample in family.samples {
            let labels = sample.labels.iter();
            let labels: Vec<_> = labels.map(|(name, text)| (*name, text.as_str())).collect();
            page.sample(sample.name, &labels, sample.value);
        }
    }
}
