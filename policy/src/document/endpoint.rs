//! Whether a policy fits the endpoint that it is for.

use thiserror::Error;

use super::{Document, keys::Item};
use crate::action::Phase;
use crate::endpoint_url::Scheme;

/// A phase that never runs at an endpoint. To ignore it would turn the policy into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Misplaced {
    /// There are no requests.
    #[error(
        "{phase}: an endpoint of scheme `{scheme}` has no requests, only `on_tcp_connect` (ERR_ADIT_2230)"
    )]
    NoRequests {
        /// The phase.
        phase: Phase,
        /// The endpoint's scheme.
        scheme: Scheme,
    },
    /// There are no connections.
    #[error(
        "on_tcp_connect: an internal {scheme} endpoint gets requests and no connections; write `on_http_request` \
         (ERR_ADIT_2262)"
    )]
    NoConnections {
        /// The endpoint's scheme.
        scheme: Scheme,
    },
}

/// A policy that lets something past, at an endpoint that nobody else serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "nobody but its policy serves this endpoint (`pool: none`), and not everything ends there: a rule without \
     `expressions` is needed with an action that ends the exchange, `custom-response`, `deny` or `forward-internal` \
     with `on_error: halt` (ERR_ADIT_2235)"
)]
pub struct Unhandled;

impl Document {
    /// Checks that nothing gets past it, as is needed where no pool serves what does.
    ///
    /// # Errors
    /// When no rule ends every exchange.
    pub fn check_handles(&self, scheme: Scheme) -> Result<(), Unhandled> {
        let has_requests = matches!(scheme, Scheme::Http | Scheme::Https);
        let mut phases = Phase::ALL.iter().zip(&self.phases);
        let ends = phases.any(|(phase, rules)| {
            let counts = match phase {
                Phase::OnTcpConnect => true,
                Phase::OnHttpRequest => has_requests,
                Phase::OnHttpResponse | Phase::OnEventStreamMessage => false,
            };
            counts && rules.iter().any(|rule| rule.ends_by().is_some())
        });
        if ends { Ok(()) } else { Err(Unhandled) }
    }

    /// Checks that every phase runs at an endpoint of this scheme; an internal one is reached only by other policies.
    ///
    /// # Errors
    /// The first phase that does not.
    pub fn check_for(&self, scheme: Scheme, internal: bool) -> Result<(), Misplaced> {
        let has_requests = matches!(scheme, Scheme::Http | Scheme::Https);
        let phases = Phase::ALL.iter().zip(&self.phases);
        for (phase, _) in phases.filter(|(_, rules)| !rules.is_empty()) {
            match phase {
                Phase::OnTcpConnect if internal && has_requests => {
                    return Err(Misplaced::NoConnections { scheme });
                }
                Phase::OnTcpConnect => {}
                _ if has_requests => {}
                phase => {
                    return Err(Misplaced::NoRequests {
                        phase: *phase,
                        scheme,
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read;
    use crate::testing::one;

    #[test]
    fn a_policy_alone_ends_every_exchange() {
        let handles = |text: &str, scheme| {
            let document: Document = read("f", text).unwrap();
            document.check_handles(scheme).is_ok()
        };
        let deny = "actions: [{type: deny}]";
        let forward = |on_error: &str| {
            format!(
                "actions: [{{type: forward-internal, config: {{url: https://a.internal{on_error}}}}}]"
            )
        };
        for (rule, ends) in [
            (deny.to_owned(), true),
            (format!("expressions: ['true'], {deny}"), true),
            (
                format!("expressions: ['req.method == \"GET\"'], {deny}"),
                false,
            ),
            (format!("mode: shadow, {deny}"), false),
            (
                "actions: [{type: redirect, config: {from: a, to: b}}]".to_owned(),
                false,
            ),
            (forward(""), true),
            (forward(", on_error: continue"), false),
        ] {
            let text = format!("on_http_request: [{{{rule}}}]");
            assert_eq!(handles(&text, Scheme::Https), ends, "{text}");
        }
        let response = "on_http_response: [{actions: [{type: custom-response}]}]";
        assert!(!handles(response, Scheme::Https));
        let connections = format!("on_tcp_connect: [{{{deny}}}]");
        assert!(handles(&connections, Scheme::Https) && handles(&connections, Scheme::Tcp));
    }

    #[test]
    fn a_phase_stands_only_where_it_runs() {
        let checked = |phase: Phase, scheme, internal| {
            let action = match phase {
                Phase::OnTcpConnect | Phase::OnHttpRequest => "deny",
                Phase::OnHttpResponse => "custom-response",
                Phase::OnEventStreamMessage => "sse-find-replace",
            };
            let text = one(phase.name(), action, "{}");
            let text = match phase {
                Phase::OnEventStreamMessage => text.replace("{}", "{replacements: [{from: a}]}"),
                _ => text,
            };
            let document: Document = read("f", &text).unwrap();
            let checked = document.check_for(scheme, internal);
            checked.map_err(|misplaced| misplaced.to_string())
        };
        for phase in Phase::ALL {
            for scheme in [Scheme::Http, Scheme::Https, Scheme::Tcp, Scheme::Tls] {
                for internal in [false, true] {
                    let is_http = matches!(scheme, Scheme::Http | Scheme::Https);
                    let fits = match phase {
                        Phase::OnTcpConnect => !(is_http && internal),
                        _ => is_http,
                    };
                    let checked = checked(*phase, scheme, internal);
                    assert_eq!(checked.is_ok(), fits, "{phase} {scheme} {internal}");
                }
            }
        }
        assert_eq!(
            checked(Phase::OnHttpResponse, Scheme::Tls, false).unwrap_err(),
            "on_http_response: an endpoint of scheme `tls` has no requests, only `on_tcp_connect` (ERR_ADIT_2230)"
        );
        assert_eq!(
            checked(Phase::OnTcpConnect, Scheme::Https, true).unwrap_err(),
            "on_tcp_connect: an internal https endpoint gets requests and no connections; write `on_http_request` \
             (ERR_ADIT_2262)"
        );
    }
}
