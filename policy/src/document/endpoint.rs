//! Whether a policy fits the endpoint that it is for.

use thiserror::Error;

use super::Document;
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

impl Document {
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
