//! How a gateway is at one moment, and the table that shows it.

use adit_gateway::api::{Endpoint, Endpoints, Member, TunnelSession, TunnelSessions};
use serde::Serialize;

use super::{access::Access, ask::ask};
use crate::{exit::Failure, printable::printable, screen::fitted};

/// What the admin API says of everything.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Picture {
    endpoints: Vec<Endpoint>,
    tunnel_sessions: Vec<TunnelSession>,
    #[serde(skip)]
    address: String,
}

/// Columns of the table of members: heading, width, whether it holds numbers.
const COLUMNS: [(&str, usize, bool); 9] = [
    ("agent", 16, false),
    ("metadata", 16, false),
    ("weight", 8, true),
    ("tier", 5, true),
    ("req/s", 9, true),
    ("err/s", 8, true),
    ("at work", 8, true),
    ("ejected", 8, true),
    ("state", 38, false),
];

// === impl Picture ===

impl Picture {
    /// Asks for all of it.
    pub(super) fn take(access: &Access) -> Result<Self, Failure> {
        let mut endpoints = Vec::new();
        let mut next = Some("/endpoints".to_owned());
        while let Some(path) = next {
            let page: Endpoints = ask(access, &path)?;
            endpoints.extend(page.endpoints);
            next = page.next_page_uri;
        }
        let mut tunnel_sessions = Vec::new();
        let mut next = Some("/tunnel_sessions".to_owned());
        while let Some(path) = next {
            let page: TunnelSessions = ask(access, &path)?;
            tunnel_sessions.extend(page.tunnel_sessions);
            next = page.next_page_uri;
        }
        Ok(Self {
            endpoints,
            tunnel_sessions,
            address: access.address.clone(),
        })
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    pub(super) fn text(&self) -> String {
        self.lines().join("\n") + "\n"
    }

    /// The table, line by line.
    pub(super) fn lines(&self) -> Vec<String> {
        let down = self
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.state != "up");
        let mut lines = vec![format!(
            "gateway {}   endpoints {} ({} down)   sessions {}",
            self.address,
            self.endpoints.len(),
            down.count(),
            self.tunnel_sessions.len()
        )];
        for endpoint in &self.endpoints {
            lines.push(String::new());
            lines.push(headline(endpoint));
            if !endpoint.members.is_empty() {
                lines.push(row(&COLUMNS.map(|(heading, ..)| heading.to_owned())));
            }
            lines.extend(endpoint.members.iter().map(|member| row(&cells(member))));
        }
        let draining = self
            .tunnel_sessions
            .iter()
            .filter(|session| session.draining);
        let draining: Vec<_> = draining
            .map(|session| format!("{} ({})", printable(&session.agent), session.id))
            .collect();
        if !draining.is_empty() {
            lines.push(String::new());
            lines.push(format!("draining: {}", draining.join(", ")));
        }
        lines
    }
}

fn headline(endpoint: &Endpoint) -> String {
    let sum = |of: fn(&Member) -> f64| endpoint.members.iter().map(of).sum::<f64>();
    format!(
        "{}   {}, {} of {} members   {:.1} req/s   {:.1} err/s   {} at work",
        printable(&endpoint.public_url),
        printable(&endpoint.state),
        endpoint.members_up,
        endpoint.members.len(),
        sum(|member| member.requests_per_second),
        sum(|member| member.failures_per_second),
        endpoint.in_flight,
    )
}

fn cells(member: &Member) -> [String; COLUMNS.len()] {
    let weight = &member.weight;
    let changed = weight.effective != weight.own;
    [
        printable(&member.agent).into_owned(),
        printable(&member.metadata).into_owned(),
        // The operator's word counts, and not the agent's.
        format!("{}{}", weight.effective, if changed { "*" } else { "" }),
        member.tier.to_string(),
        format!("{:.1}", member.requests_per_second),
        format!("{:.1}", member.failures_per_second),
        member.in_flight.to_string(),
        member.ejections.to_string(),
        state(member),
    ]
}

fn state(member: &Member) -> String {
    if member.up {
        return "up".to_owned();
    }
    let reasons = member.reasons.iter().map(|reason| match &reason.detail {
        Some(detail) => format!("{}: {}", reason.kind, detail),
        None => reason.kind.clone(),
    });
    let reasons: Vec<_> = reasons.collect();
    printable(&reasons.join("; ")).into_owned()
}

fn row(cells: &[String; COLUMNS.len()]) -> String {
    let mut line = String::from(" ");
    for (cell, (_, width, number)) in cells.iter().zip(COLUMNS) {
        line.push(' ');
        let cell = fitted(cell, width);
        match number {
            true => line.push_str(&format!("{:>width$}", cell.trim_end())),
            false => line.push_str(&cell),
        }
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use adit_gateway::api::{Failures, Reason, Reference, Weight};

    use super::*;

    fn member(agent: &str, up: bool) -> Member {
        let reference = |id: &str| Reference {
            id: id.to_owned(),
            uri: format!("/{id}"),
        };
        Member {
            id: "mb_1".to_owned(),
            uri: "/mb_1".to_owned(),
            agent: agent.to_owned(),
            tunnel_session: reference("ts_1"),
            metadata: "v\u{1b}[2J".to_owned(),
            upstream_url: String::new(),
            weight: Weight {
                effective: 10,
                own: 100,
                configured: None,
                overridden: Some(10),
            },
            tier: 0,
            up,
            reasons: vec![Reason {
                kind: "ejected".to_owned(),
                detail: Some("timeout, for 4s".to_owned()),
                until: None,
            }],
            in_flight: 3,
            requests: 12,
            requests_per_second: 1.25,
            failures: Failures::default(),
            failures_per_second: 0.5,
            ejections: 2,
        }
    }

    #[test]
    fn the_table_tells_each_member_and_moves_no_cursor() {
        let picture = Picture {
            endpoints: vec![Endpoint {
                id: "ep_1".to_owned(),
                uri: "/endpoints/ep_1".to_owned(),
                url: "https://app.example.com".to_owned(),
                public_url: "https://app.example.com".to_owned(),
                declared: true,
                traffic_policy: false,
                state: "up".to_owned(),
                members_up: 1,
                balance: "round-robin".to_owned(),
                in_flight: 6,
                exchanges: None,
                members: vec![member("alice", true), member("bob", false)],
            }],
            tunnel_sessions: Vec::new(),
            address: "127.0.0.1:9181".to_owned(),
        };
        let text = picture.text();
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("endpoints 1 (0 down)   sessions 0"), "{text}");
        assert!(
            text.contains("up, 1 of 2 members   2.5 req/s   1.0 err/s   6 at work"),
            "{text}"
        );
        assert!(text.contains("10*"), "{text}");
        assert!(text.contains("ejected: timeout, for 4s"), "{text}");
    }
}
