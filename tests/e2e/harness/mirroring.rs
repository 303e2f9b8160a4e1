//! A gateway that mirrors one endpoint to another, and what it counts of that.

use std::{net::SocketAddr, time::Duration};

use super::{Agent, Gateway, operator::ask, soon};

/// A gateway whose `http://app.localhost` mirrors to `http://next.internal`, with these settings and more endpoints.
pub(crate) async fn mirroring(settings: &str, more: &str) -> Gateway {
    let mirror = format!(
        "{{ type: mirror, config: {{ url: 'http://next.internal', id: next, {settings} }} }}"
    );
    Gateway::with(&format!(
        "endpoints:\n  - {{ url: http://app.localhost, traffic_policy: {{ on_http_request: [{{ actions: [{mirror}] }}] }} }}\n{more}"
    ))
    .await
}

/// Agents for both endpoints.
pub(crate) async fn serve(gateway: &Gateway, service: SocketAddr, next: SocketAddr) -> Agent {
    Agent::builder(gateway)
        .url("http://app.localhost")
        .upstream(service)
        .url("http://next.internal")
        .upstream(next)
        .start()
        .await
}

/// What came of the copies of the mirror of these tests.
pub(crate) async fn counted_until(gateway: &Gateway, result: &str, wanted: u64) {
    page_until(gateway, &format!("{} {wanted}", sample(result))).await;
}

/// Copies that were not sent, or not compared.
pub(crate) async fn skipped_until(gateway: &Gateway, reason: &str, wanted: u64) {
    let labels = format!("endpoint=\"http://app.localhost\",mirror=\"next\",reason=\"{reason}\"");
    let sample = format!("adit_mirror_skipped_total{{{labels}}} {wanted}");
    page_until(gateway, &sample).await;
}

fn sample(result: &str) -> String {
    format!(
        "adit_mirror_total{{endpoint=\"http://app.localhost\",mirror=\"next\",result=\"{result}\"}}"
    )
}

/// Asks again until the page of metrics has this line: a mirror is on it once it has had something to copy.
pub(crate) async fn page_until(gateway: &Gateway, line: &str) {
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            let page = ask(gateway.admin(), "/metrics").await.text();
            if page.lines().any(|one| one == line) {
                return;
            }
            tick.tick().await;
        }
    };
    soon(line, asking).await;
}
