//! What the screen knows: a small, bounded picture of the session.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use time::OffsetDateTime;

/// Requests and problems that are kept for showing; a screen seldom has room for more.
const KEPT: usize = 100;

/// Everything that is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    pub(crate) session: Session,
    /// Time between a ping and its answer.
    pub(crate) latency: Option<Duration>,
    /// Lines that stand as long as the process: a label and a text.
    pub(crate) notes: Vec<(&'static str, String)>,
    pub(crate) forwarding: Vec<Forwarding>,
    /// Endpoints whose services are down, by name, and why.
    pub(crate) down: BTreeMap<String, String>,
    /// By first digit of the status; 0 for anything else.
    pub(crate) answers: [u64; 6],
    /// Newest first.
    pub(crate) requests: VecDeque<Request>,
    /// The newest thing that went wrong.
    pub(crate) problem: Option<(OffsetDateTime, String)>,
}

/// How it stands with the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Session {
    /// The first connection is being made.
    #[default]
    Connecting,
    /// Traffic comes through.
    Online,
    /// The connection was lost, for this reason.
    Reconnecting(String),
    /// The process is ending.
    Stopping,
}

/// A URL that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forwarding {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) upstream: String,
}

/// One exchange that ended.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) at: OffsetDateTime,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) duration: Duration,
}

// === impl Status ===

impl Status {
    /// A URL is served. An endpoint has one for each scheme: a new one takes the old one's place.
    /// Answers whether that is news.
    pub(crate) fn forward(&mut self, name: &str, url: &str, upstream: &str) -> bool {
        let scheme = |url: &str| url.split_once("://").map(|(scheme, _)| scheme.to_owned());
        let same = |line: &&mut Forwarding| line.name == name && scheme(&line.url) == scheme(url);
        match self.forwarding.iter_mut().find(same) {
            Some(line) if line.url == url => false,
            Some(line) => {
                url.clone_into(&mut line.url);
                true
            }
            None => {
                self.forwarding.push(Forwarding {
                    name: name.to_owned(),
                    url: url.to_owned(),
                    upstream: upstream.to_owned(),
                });
                true
            }
        }
    }

    /// An endpoint's service is well, or `down` for this reason.
    pub(crate) fn health(&mut self, name: &str, down: Option<&String>) {
        match down {
            Some(why) => drop(self.down.insert(name.to_owned(), why.clone())),
            None => drop(self.down.remove(name)),
        }
    }

    /// An exchange ended.
    pub(crate) fn request(&mut self, request: Request) {
        self.count(request.status, 1);
        self.requests.truncate(KEPT - 1);
        self.requests.push_front(request);
    }

    /// Exchanges that were too many to be told one by one.
    pub(crate) fn missed(&mut self, exchanges: u64) {
        self.count(0, exchanges);
    }

    /// Something went wrong.
    pub(crate) fn problem(&mut self, at: OffsetDateTime, text: String) {
        self.problem = Some((at, text));
    }

    fn count(&mut self, status: u16, exchanges: u64) {
        let class = usize::from(status / 100);
        let class = if class < self.answers.len() { class } else { 0 };
        if let Some(counter) = self.answers.get_mut(class) {
            *counter = counter.saturating_add(exchanges);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_changed_takes_the_old_ones_place_and_is_news() {
        let mut status = Status::default();
        assert!(status.forward("web", "https://a.example.com", "http://localhost:1"));
        assert!(status.forward("web", "http://a.example.com", "http://localhost:1"));
        assert!(!status.forward("web", "https://a.example.com", "http://localhost:1"));
        assert!(status.forward("web", "https://b.example.com", "http://localhost:1"));
        let urls: Vec<_> = status
            .forwarding
            .iter()
            .map(|line| line.url.as_str())
            .collect();
        assert_eq!(urls, ["https://b.example.com", "http://a.example.com"]);
    }

    #[test]
    fn only_the_newest_requests_are_kept_and_all_are_counted() {
        let mut status = Status::default();
        for path in 0..KEPT + 5 {
            status.request(Request {
                at: OffsetDateTime::UNIX_EPOCH,
                method: "GET".to_owned(),
                path: path.to_string(),
                status: 200,
                duration: Duration::ZERO,
            });
        }
        status.missed(7);
        assert_eq!(status.requests.len(), KEPT);
        assert_eq!(
            status.requests.front().map(|r| r.path.clone()),
            Some((KEPT + 4).to_string())
        );
        assert_eq!(status.answers, [7, 0, KEPT as u64 + 5, 0, 0, 0]);
    }
}
