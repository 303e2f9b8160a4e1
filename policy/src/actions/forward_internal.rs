//! `forward-internal`: another endpoint of this gateway answers.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::on_error::OnError;
use super::results::error_value;
use crate::action::{Action, Config, Fault, Flow, Forward, Phase, Shadow, Unbuildable, Unreached};
use crate::document::scope;
use crate::endpoint_url::{EndpointUrl, HostPattern, Scheme};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::{Field, FromText, Value};
use crate::memory::Memory;

const RESULTS: &str = "forward_internal";

/// Config of `forward-internal`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForwardInternal {
    /// The endpoint: `scheme://host[:port]`, a name below `.internal` or any other that this gateway serves; may hold
    /// `${…}`. What spoke HTTP goes to http or https, all else to tcp or tls, which need a port.
    #[serde(deserialize_with = "for_the_phase")]
    url: Field<Destination>,
    /// Whether the following actions run if the endpoint cannot be reached: `halt` (the default) or `continue`.
    #[serde(default = "halt")]
    on_error: OnError,
    /// Which endpoints are meant; only `internal`, the default.
    #[serde(default, rename = "binding")]
    _binding: Binding,
    /// Reserved.
    #[serde(default, rename = "endpoint_selectors")]
    _selectors: Option<Reserved>,
    /// Reserved.
    #[serde(default, rename = "endpoint_weights")]
    _weights: Option<Reserved>,
}

impl Config for ForwardInternal {
    const TYPE: &'static str = "forward-internal";
    const PHASES: &'static [Phase] = &[Phase::OnTcpConnect, Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some(RESULTS);
    type Action = Self;

    fn ends_the_phase(&self) -> bool {
        self.on_error == OnError::Halt
    }

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for ForwardInternal {
    fn on_tcp_connect(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        self.forward(exchange.endpoint.url.scheme, exchange)
    }

    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        self.forward(Scheme::Https, exchange)
    }

    fn in_shadow(&self) -> Shadow {
        Shadow::WouldRun
    }
}

impl ForwardInternal {
    fn forward(&self, spoken: Scheme, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let found = self.url.marked("url", exchange);
        let found = found.and_then(|(destination, taint)| {
            if taint.is_secret() {
                return Err(unusable(
                    "where a request goes is seen by many; it cannot come from a secret".to_owned(),
                ));
            }
            let url = destination.into_owned().0;
            match speaks_http(url.scheme) == speaks_http(spoken) {
                true => Ok(url),
                false => Err(unusable(other_class(url.scheme))),
            }
        });
        let fault = match found {
            Ok(url) => {
                let continue_on_error = self.on_error == OnError::Continue;
                return Ok(Flow::Forward(Forward {
                    url,
                    continue_on_error,
                }));
            }
            Err(fault) => at_run_time(fault),
        };
        // What an expression yields may be no url; an expression that fails decides nothing.
        match fault {
            Fault::Interpolation {
                reason, code: 2247, ..
            } if self.on_error == OnError::Continue => {
                leave_results(&mut exchange.memory, "", 2247, reason);
                Ok(Flow::Next)
            }
            fault => Err(fault),
        }
    }
}

/// Leaves for the following actions that an endpoint could not be reached.
pub(crate) fn unreached(memory: &mut Memory, failure: &Unreached) {
    let EndpointUrl { scheme, host, .. } = &failure.url;
    let port = failure.url.effective_port();
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let url = format!("{scheme}://{host}{port}");
    leave_results(memory, &url, failure.code, failure.message.clone());
}

fn leave_results(memory: &mut Memory, url: &str, code: u16, message: String) {
    let result = [
        ("url", Value::text(url.to_owned())),
        ("error", error_value(Some((code, message)))),
    ];
    memory.set_result(RESULTS, Value::map(result));
}

/// The numbers of a url that only the exchange made wrong.
fn at_run_time(fault: Fault) -> Fault {
    match fault {
        Fault::Interpolation {
            field,
            reason,
            code: 2205 | 2226,
        } => Fault::Interpolation {
            field,
            reason: reason
                .replace("ERR_ADIT_2226", "ERR_ADIT_2247")
                .replace("ERR_ADIT_2205", "ERR_ADIT_2247"),
            code: 2247,
        },
        fault => fault,
    }
}

fn unusable(reason: String) -> Fault {
    crate::expr::unusable("url", &reason)
}

/// A url that is known already must fit what is spoken in the phase.
pub(super) fn for_the_phase<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Field<Destination>, D::Error> {
    let url = Field::<Destination>::deserialize(deserializer)?;
    let scheme = url.fixed().map(|destination| destination.0.scheme);
    match (scheme, scope::phase()) {
        (Some(scheme), Some(Phase::OnHttpRequest)) if !speaks_http(scheme) => {
            Err(D::Error::custom(other_class(scheme)))
        }
        _ => Ok(url),
    }
}

pub(super) fn speaks_http(scheme: Scheme) -> bool {
    matches!(scheme, Scheme::Http | Scheme::Https)
}

fn other_class(scheme: Scheme) -> String {
    match speaks_http(scheme) {
        true => format!(
            "a connection without HTTP cannot go to an {scheme} endpoint, only to tcp or tls (ERR_ADIT_2205)"
        ),
        false => format!(
            "a request cannot go to a {scheme} endpoint, only to http or https (ERR_ADIT_2205)"
        ),
    }
}

fn halt() -> OnError {
    OnError::Halt
}

/// The url of one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Destination(pub(super) EndpointUrl);

impl FromText for Destination {
    fn from_text(text: &str) -> Result<Self, String> {
        const FORM: &str = "`url` is scheme://host[:port] of an endpoint";
        let wrong = |why: &str| format!("{FORM}: {why} (ERR_ADIT_2226)");
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(wrong("the scheme is missing"));
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let url = EndpointUrl::parse(&format!("{scheme}://{rest}")).map_err(|bad| {
            let why = bad.to_string();
            wrong(why.split(" (ERR_ADIT_").next().unwrap_or_default())
        })?;
        let says_port = url.port.is_some() || rest.ends_with(":443");
        match &url.host {
            HostPattern::Random => Err(wrong("the host is missing")),
            HostPattern::Wildcard(_) => Err(wrong("`*` names many endpoints")),
            HostPattern::Exact(_) if !speaks_http(url.scheme) && !says_port => {
                Err(wrong("tcp and tls need a port"))
            }
            HostPattern::Exact(_) => Ok(Self(url)),
        }
    }
}

/// Accepts `internal` only.
#[derive(Debug, Default)]
struct Binding;

impl<'de> Deserialize<'de> for Binding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "internal" => Ok(Self),
            other => Err(D::Error::custom(format_args!(
                "`binding` is `internal`, not `{other}` (ERR_ADIT_2222)"
            ))),
        }
    }
}

/// Refuses every value, at the value's place.
#[derive(Debug)]
struct Reserved;

impl<'de> Deserialize<'de> for Reserved {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(
            "this field is reserved; leave it out (ERR_ADIT_2203)",
        ))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::exchange::Endpoint;
    use crate::testing::{connection, lines, one, policy, refused, request};
    use crate::verdict::Verdict;

    const Q: &str = "on_http_request";

    fn forwarded(verdict: Verdict) -> Forward {
        match verdict {
            Verdict::Forward { forward, .. } => forward,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn forwards_to_the_endpoint_of_a_url() {
        let from = lines(&[("x-team", "blue")]);
        for (url, canonical) in [
            ("https://b.internal", "https://b.internal"),
            ("http://B.internal:80/", "http://b.internal"),
            (
                "https://app.example.com:8443",
                "https://app.example.com:8443",
            ),
            (
                "https://${req.headers['x-team'][0]}.internal",
                "https://blue.internal",
            ),
        ] {
            let policy = policy(&one(Q, "forward-internal", &format!("{{url: \"{url}\"}}")));
            let forward = forwarded(policy.on_http_request(&mut request(&from)).await);
            assert_eq!(forward.url.to_string(), canonical);
            assert!(!forward.continue_on_error);
        }
    }

    #[tokio::test]
    async fn a_connection_goes_where_its_protocol_is_spoken() {
        let url = EndpointUrl::parse("tcp://app.example.com:22").unwrap();
        let endpoint = Endpoint {
            id: "ep",
            url: &url,
        };
        let to = |url: &str| {
            policy(&one(
                "on_tcp_connect",
                "forward-internal",
                &format!("{{url: '{url}'}}"),
            ))
        };
        let mut tcp = connection();
        tcp.endpoint = &endpoint;
        let forward = forwarded(to("tls://db.internal:443").on_tcp_connect(&mut tcp).await);
        assert_eq!(forward.url.to_string(), "tls://db.internal");
        let verdict = to("https://b.internal").on_tcp_connect(&mut tcp).await;
        let Verdict::Fault { fault, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(fault.code(), 2247);
        let https = to("https://b.internal")
            .on_tcp_connect(&mut connection())
            .await;
        assert_eq!(forwarded(https).url.to_string(), "https://b.internal");
    }

    #[tokio::test]
    async fn what_an_expression_yields_may_be_no_url() {
        let from = lines(&[("x-to", "tcp://b.internal:22")]);
        let computed = "url: \"${req.headers['x-to'][0]}\"";
        let fault = async |config: &str, from: &HeaderMap| match policy(&one(
            Q,
            "forward-internal",
            config,
        ))
        .on_http_request(&mut request(from))
        .await
        {
            Verdict::Fault { fault, .. } => fault.code(),
            other => panic!("{other:?}"),
        };
        assert_eq!(fault(&format!("{{{computed}}}"), &from).await, 2247);
        let bad = lines(&[("x-to", "https://b.internal/path")]);
        assert_eq!(fault(&format!("{{{computed}}}"), &bad).await, 2247);
        let none = HeaderMap::new();
        let continues = format!("{{{computed}, on_error: continue}}");
        assert_eq!(fault(&continues, &none).await, 2238, "nothing is known");
        let then = "      - type: custom-response
        config: {body: '${actions.ngrok.forward_internal.error.code} ${actions.ngrok.forward_internal.error.message}'}\n";
        let policy = policy(&(one(Q, "forward-internal", &continues) + then));
        let verdict = policy.on_http_request(&mut request(&bad)).await;
        let Verdict::Answer { reply, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(
            reply.body(),
            "ERR_ADIT_2247 `url` is scheme://host[:port] of an endpoint: an endpoint url has no path, only scheme, host and port (ERR_ADIT_2247)"
        );
    }

    #[tokio::test]
    async fn the_following_actions_learn_why_it_failed() {
        let then = "      - type: custom-response
        config: {body: '${actions.ngrok.forward_internal.url} ${actions.ngrok.forward_internal.error.code}'}\n";
        let policy = policy(
            &(one(
                Q,
                "forward-internal",
                "{url: 'https://b.internal', on_error: continue}",
            ) + then),
        );
        let none = HeaderMap::new();
        let mut exchange = request(&none);
        let verdict = policy.on_http_request(&mut exchange).await;
        let Verdict::Forward { forward, by } = verdict else {
            panic!("{verdict:?}");
        };
        assert!(forward.continue_on_error);
        let failure = Unreached {
            url: forward.url,
            code: 3200,
            message: "the endpoint is offline".to_owned(),
        };
        let verdict = policy
            .resume_http_request(&by, &failure, &mut exchange)
            .await;
        let Verdict::Answer { reply, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(reply.body(), "https://b.internal:443 ERR_ADIT_3200");
    }

    #[tokio::test]
    async fn a_connection_goes_on_behind_a_failure_as_a_request_does() {
        let text = one(
            "on_tcp_connect",
            "forward-internal",
            "{url: 'tcp://b.internal:22', on_error: continue}",
        ) + "      - type: forward-internal
        config: {url: 'tcp://${actions.ngrok.forward_internal.error.code == \"ERR_ADIT_3200\" ? \"c\" : \"d\"}.internal:22'}\n";
        let policy = policy(&text);
        let url = EndpointUrl::parse("tcp://a:22").unwrap();
        let endpoint = Endpoint { id: "a", url: &url };
        let mut exchange = Exchange {
            endpoint: &endpoint,
            ..connection()
        };
        let Verdict::Forward { forward, by } = policy.on_tcp_connect(&mut exchange).await else {
            panic!("not forwarded");
        };
        let failure = Unreached {
            url: forward.url,
            code: 3200,
            message: String::new(),
        };
        let verdict = policy
            .resume_tcp_connect(&by, &failure, &mut exchange)
            .await;
        assert_eq!(forwarded(verdict).url.to_string(), "tcp://c.internal:22");
    }

    #[tokio::test]
    async fn a_rule_in_shadow_mode_forwards_nothing() {
        let tried = one(Q, "forward-internal", "{url: 'https://b.internal'}")
            .replace("- actions", "- mode: shadow\n    actions");
        let none = HeaderMap::new();
        let mut exchange = request(&none);
        let verdict = policy(&tried).on_http_request(&mut exchange).await;
        assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
        let decision = &exchange.memory.shadow()[0].decision;
        assert_eq!(
            *decision,
            Some((0, "forward-internal", crate::trace::Outcome::WouldRun))
        );
    }

    #[test]
    fn a_wrong_config_is_refused() {
        for (config, said) in [
            ("{}", "missing field `url`"),
            ("{url: b.internal}", "the scheme is missing (ERR_ADIT_2226)"),
            ("{url: 'https://'}", "the host is missing (ERR_ADIT_2226)"),
            (
                "{url: 'https://*.internal'}",
                "`*` names many endpoints (ERR_ADIT_2226)",
            ),
            (
                "{url: 'https://u:p@b.internal'}",
                "has no user information, only scheme, host and port (ERR_ADIT_2226)",
            ),
            (
                "{url: 'https://b.internal/a'}",
                "has no path, only scheme, host and port (ERR_ADIT_2226)",
            ),
            (
                "{url: 'https://b.internal?a'}",
                "has no query, only scheme, host and port (ERR_ADIT_2226)",
            ),
            (
                "{url: 'ftp://b.internal'}",
                "scheme `ftp` is not http, https, tcp or tls (ERR_ADIT_2226)",
            ),
            (
                "{url: 'tls://b.internal:443'}",
                "a request cannot go to a tls endpoint, only to http or https (ERR_ADIT_2205)",
            ),
            (
                "{url: 'https://b', on_error: retry}",
                "unknown variant `retry`",
            ),
            (
                "{url: 'https://b', binding: public}",
                "`binding` is `internal`, not `public` (ERR_ADIT_2222)",
            ),
            (
                "{url: 'https://b', endpoint_weights: {}}",
                "this field is reserved; leave it out (ERR_ADIT_2203)",
            ),
        ] {
            let message = refused(&one(Q, "forward-internal", config));
            assert!(message.contains(said), "{message}");
        }
        for url in ["tcp://b.internal", "tls://b.internal"] {
            let message = refused(&one(
                "on_tcp_connect",
                "forward-internal",
                &format!("{{url: '{url}'}}"),
            ));
            assert!(
                message.contains("tcp and tls need a port (ERR_ADIT_2226)"),
                "{message}"
            );
        }
    }
}
