//! Where a service sends clients that was asked for another host than they have asked for.

use http::header::{HeaderValue, LOCATION};

use super::{Exchange, Request};
use crate::action::Fault;

impl Exchange<'_> {
    /// Puts the host that the client knows into a `location` that points at the one by which the service was asked.
    pub(crate) fn show_public_location(&mut self) -> Result<(), Fault> {
        let (Some(host), Some(request)) = (self.memory.new_host(), &self.request) else {
            return Ok(());
        };
        let Some(response) = &mut self.response else {
            return Ok(());
        };
        let location = response.head.lines().get(LOCATION);
        match location.and_then(|location| public(location, host, request)) {
            Some(location) => response.head.set(LOCATION, location),
            None => Ok(()),
        }
    }
}

fn public(
    location: &HeaderValue,
    host: &HeaderValue,
    request: &Request<'_>,
) -> Option<HeaderValue> {
    let (location, host) = (location.to_str().ok()?, host.to_str().ok()?);
    let rest = ["http://", "https://", "//"].iter().find_map(|start| {
        let (head, rest) = location.split_at_checked(start.len())?;
        head.eq_ignore_ascii_case(start).then_some(rest)
    })?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at_checked(end)?;
    if !authority.eq_ignore_ascii_case(host) {
        return None;
    }
    let (scheme, authority) = (request.scheme, request.authority);
    HeaderValue::try_from(format!("{scheme}://{authority}{behind}")).ok()
}

#[cfg(test)]
mod tests {
    use crate::action::Phase;
    use crate::testing::{lines, one, policy, response};
    use crate::verdict::Verdict;

    async fn shown(location: &'static str) -> String {
        let policy = policy(&one(
            "on_http_request",
            "add-headers",
            "{headers: {host: 'Inner.example:8080'}}",
        ));
        assert!(policy.has_phase(Phase::OnHttpResponse));
        let (asked, answered) = (lines(&[]), lines(&[("location", location)]));
        let mut exchange = response(&asked, &answered);
        let request = policy.on_http_request(&mut exchange).await;
        let response = policy.on_http_response(&mut exchange).await;
        assert!(matches!(
            (request, response),
            (Verdict::Continue, Verdict::Continue)
        ));
        let head = &exchange.response().unwrap().head;
        head.lines()["location"].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_location_at_the_replaced_host_points_at_the_public_one() {
        for (location, public) in [
            (
                "http://inner.example:8080/a?b#c",
                "https://app.example.com/a?b#c",
            ),
            ("HTTPS://INNER.example:8080", "https://app.example.com"),
            ("//inner.example:8080?q", "https://app.example.com?q"),
            ("http://inner.example/a", "http://inner.example/a"),
            (
                "http://inner.example:8080.evil.example/",
                "http://inner.example:8080.evil.example/",
            ),
            ("http://other.example/", "http://other.example/"),
            ("/a", "/a"),
            ("inner.example:8080", "inner.example:8080"),
            ("", ""),
        ] {
            assert_eq!(shown(location).await, public, "{location}");
        }
    }

    #[tokio::test]
    async fn without_a_replaced_host_no_location_changes() {
        let other = "{headers: {x-a: b}}";
        let policy = policy(&one("on_http_request", "add-headers", other));
        assert!(!policy.has_phase(Phase::OnHttpResponse));
        let (asked, answered) = (lines(&[]), lines(&[("location", "https://b.example/")]));
        let mut exchange = response(&asked, &answered);
        assert!(matches!(
            policy.on_http_response(&mut exchange).await,
            Verdict::Continue
        ));
        assert!(exchange.response().unwrap().head.edits().is_empty());
    }
}
