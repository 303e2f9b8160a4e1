//! The table of actions: what `type:` may say. One more action is one more file and two lines here.

mod add_headers;
mod assert_identity;
mod basic_auth;
mod bucket_key;
mod circuit_breaker;
mod close_connection;
mod compress_response;
mod count;
mod custom_response;
mod deny;
mod digests;
mod enforce;
mod forward_internal;
mod headers;
mod http_request;
mod jwt_validation;
mod list;
mod log;
mod mirror;
mod oauth;
mod on_error;
mod one_or_many;
mod openid_connect;
mod ranges;
mod rate_limit;
mod redirect;
mod reference;
mod remove_headers;
mod replacements;
mod request_body_find_replace;
mod response_body_find_replace;
mod restrict_ips;
mod results;
mod set_vars;
mod sse_find_replace;
mod status;
mod url_from_to;
mod url_rewrite;
mod verify_webhook;

use std::fmt;

use http::HeaderName;
use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

use crate::action::{Action, Config, Phase, Unbuildable};
use crate::config;
use crate::document::scope;
use crate::env::Env;
use crate::nearest::nearest;

/// Action types that Adit's policy language has and this version has not.
const LATER: &[&str] = &[
    "ai-gateway",
    "owasp-crs-request",
    "owasp-crs-response",
    "saml",
    "terminate-tls",
];

/// Other spellings of action types that are about.
const ALIASES: &[(&str, &str)] = &[
    ("oidc", "openid-connect"),
    ("webhook-validation", "verify-webhook"),
];

/// What actions of later versions leave below `actions.ngrok.`: null until then.
const LATER_RESULTS: &[&str] = &["owasp_crs_request", "owasp_crs_response", "terminate_tls"];

/// Other spellings of names below `actions.ngrok.`.
const RESULT_ALIASES: &[(&str, &str)] = &[
    ("compress_response", "compress"),
    ("openid_connect", "oidc"),
];

pub(crate) use forward_internal::unreached;

macro_rules! actions {
    ($($config:ty,)*) => {
        /// Every action type of this version.
        pub const TYPES: &[&str] = &[$(<$config as Config>::TYPE),*];

        /// Where an action may stand; `None` if there is no such action.
        pub fn phases(kind: &str) -> Option<&'static [Phase]> {
            $(if kind == <$config as Config>::TYPE {
                return Some(<$config as Config>::PHASES);
            })*
            None
        }

        /// The names below `actions.ngrok.`: what actions leave there.
        pub(crate) fn result_names() -> impl Iterator<Item = &'static str> {
            [$(<$config as Config>::RESULTS),*].into_iter().flatten().chain(LATER_RESULTS.iter().copied())
        }

        /// Reads the `config:` block of an action.
        pub(crate) fn parse<'de, D: Deserializer<'de>>(kind: &str, deserializer: D) -> Result<Box<dyn ReadConfig>, D::Error> {
            $(if kind == <$config as Config>::TYPE {
                return config::read::<$config, D>(deserializer).map(|config| Box::new(config) as Box<dyn ReadConfig>);
            })*
            Err(D::Error::custom(unknown(kind)))
        }
    };
}

actions! {
    add_headers::AddHeaders,
    assert_identity::AssertIdentity,
    basic_auth::BasicAuth,
    circuit_breaker::CircuitBreaker,
    close_connection::CloseConnection,
    compress_response::CompressResponse,
    custom_response::CustomResponse,
    deny::Deny,
    forward_internal::ForwardInternal,
    http_request::HttpRequest,
    jwt_validation::JwtValidation,
    log::Log,
    mirror::Mirror,
    oauth::OAuth,
    openid_connect::OpenIdConnect,
    rate_limit::RateLimit,
    redirect::Redirect,
    remove_headers::RemoveHeaders,
    request_body_find_replace::RequestBodyFindReplace,
    response_body_find_replace::ResponseBodyFindReplace,
    restrict_ips::RestrictIps,
    set_vars::SetVars,
    sse_find_replace::SseFindReplace,
    url_rewrite::UrlRewrite,
    verify_webhook::VerifyWebhook,
}

/// The name below `actions.ngrok.` that a text means.
pub(crate) fn result_name(text: &str) -> Option<&'static str> {
    let alias = RESULT_ALIASES.iter().find(|(alias, _)| *alias == text);
    let meant = alias.map_or(text, |(_, name)| name);
    result_names().find(|name| *name == meant)
}

/// A config of any action, read and not built.
pub(crate) trait ReadConfig: fmt::Debug + Send + Sync {
    fn results(&self) -> Option<&'static str>;
    fn reads_request_body(&self) -> bool;
    fn reads_response_body(&self) -> bool;
    fn ends_the_phase(&self) -> bool;
    fn adds_headers(&self) -> Vec<HeaderName>;
    fn removes_header(&self, name: &HeaderName) -> bool;
    fn marks_responses(&self) -> bool;
    fn own_paths(&self) -> Vec<String>;
    fn own_paths_are_open(&self) -> bool;
    fn vouches_in(&self) -> Vec<HeaderName>;
    fn reads_body_at(&self) -> &'static [&'static str];
    fn login(&self) -> Option<(String, String)>;
    fn build(self: Box<Self>, env: &Env) -> Result<Box<dyn Action>, Unbuildable>;
}

impl<C: Config> ReadConfig for C {
    fn results(&self) -> Option<&'static str> {
        C::RESULTS
    }

    fn reads_request_body(&self) -> bool {
        Config::reads_request_body(self)
    }

    fn reads_response_body(&self) -> bool {
        C::READS_RESPONSE_BODY
    }

    fn ends_the_phase(&self) -> bool {
        Config::ends_the_phase(self)
    }

    fn adds_headers(&self) -> Vec<HeaderName> {
        Config::adds_headers(self)
    }

    fn removes_header(&self, name: &HeaderName) -> bool {
        Config::removes_header(self, name)
    }

    fn marks_responses(&self) -> bool {
        Config::marks_responses(self)
    }

    fn own_paths(&self) -> Vec<String> {
        Config::own_paths(self)
    }

    fn own_paths_are_open(&self) -> bool {
        C::OWN_PATHS_ARE_OPEN
    }

    fn vouches_in(&self) -> Vec<HeaderName> {
        Config::vouches_in(self)
    }

    fn reads_body_at(&self) -> &'static [&'static str] {
        C::READS_BODY_AT
    }

    fn login(&self) -> Option<(String, String)> {
        Config::login(self)
    }

    fn build(self: Box<Self>, env: &Env) -> Result<Box<dyn Action>, Unbuildable> {
        Config::build(*self, env).map(|action| Box::new(action) as Box<dyn Action>)
    }
}

/// Reads the word after `type:`, which must name an action that runs in this phase.
pub(crate) struct Kind {
    pub(crate) phase: Phase,
}

impl<'de> DeserializeSeed<'de> for Kind {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Kind {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the type of an action")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<&'static str, E> {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == word);
        if let Some((alias, kind)) = alias {
            scope::warn(format!("`{alias}` is called `{kind}` here"));
        }
        let meant = alias.map_or(word, |(_, kind)| kind);
        let kind = TYPES
            .iter()
            .find(|kind| **kind == meant)
            .ok_or_else(|| E::custom(unknown(meant)))?;
        let allowed = phases(kind).unwrap_or_default();
        if allowed.contains(&self.phase) {
            return Ok(kind);
        }
        let allowed: Vec<_> = allowed.iter().map(|phase| phase.name()).collect();
        Err(E::custom(format_args!(
            "action `{kind}` does not run in {}, only in {} (ERR_ADIT_2202)",
            self.phase,
            allowed.join(" and ")
        )))
    }
}

/// Reads the value of `config:` for an action type.
pub(crate) struct ConfigOf {
    pub(crate) kind: &'static str,
}

impl<'de> DeserializeSeed<'de> for ConfigOf {
    type Value = Box<dyn ReadConfig>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        parse(self.kind, deserializer)
    }
}

fn unknown(word: &str) -> String {
    if word.starts_with("adit-") {
        return format!(
            "action `{word}`: types that begin with `adit-` are reserved (ERR_ADIT_50015)"
        );
    }
    if LATER.contains(&word) {
        return format!("action `{word}` is not built into this version (ERR_ADIT_2201)");
    }
    match nearest(word, LATER.iter().chain(TYPES).copied()) {
        Some(later) if LATER.contains(&later) => {
            format!(
                "unknown action `{word}`; `{later}` is not built into this version (ERR_ADIT_2201)"
            )
        }
        _ => format!(
            "unknown action `{word}`, expected one of `{}` (ERR_ADIT_2201)",
            TYPES.join("`, `")
        ),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::action::Fault;
    use crate::body::Message;
    use crate::document::{Document, read_warned};
    use crate::testing::{connection, one, policy, refused, request, response};
    use crate::verdict::Verdict;

    /// A config that each action accepts.
    fn some_config(kind: &str) -> &'static str {
        match kind {
            "http-request" => "{url: 'https://b.internal'}",
            "forward-internal" | "mirror" => "{url: 'https://b.internal'}",
            "add-headers" => "{headers: {x-a: b}}",
            "rate-limit" => {
                "{name: n, algorithm: sliding_window, capacity: 1, rate: 1s, bucket_key: [conn.client_ip]}"
            }
            "restrict-ips" => "{allow: [0.0.0.0/0]}",
            "basic-auth" => "{credentials: ['user:password']}",
            "openid-connect" => {
                "{issuer_url: 'https://id.example', client_id: a, client_secret: b}"
            }
            "log" => "{metadata: {a: '${conn.client_ip}'}}",
            "redirect" | "url-rewrite" => "{to: /b}",
            "set-vars" => "{vars: [{a: '${conn.client_ip}'}]}",
            "remove-headers" => "{headers: [x-a]}",
            "request-body-find-replace" | "response-body-find-replace" | "sse-find-replace" => {
                "{replacements: [{from: a}]}"
            }
            "oauth" => "{provider: github, client_id: a, client_secret: b}",
            "verify-webhook" => "{provider: github, secret: a}",
            "jwt-validation" => {
                "{issuer: {allow_list: [{value: 'https://a'}]}, http: {tokens: [{type: jwt, method: header, name: a}]},
                  jws: {allowed_algorithms: [ES256]}}"
            }
            _ => "{}",
        }
    }

    #[tokio::test]
    async fn every_action_runs_in_each_phase_that_it_declares() {
        assert!(!TYPES.is_empty());
        for kind in TYPES {
            for phase in phases(kind).unwrap() {
                let policy = policy(&one(phase.name(), kind, some_config(kind)));
                let lines = HeaderMap::new();
                let verdict = match phase {
                    Phase::OnTcpConnect => policy.on_tcp_connect(&mut connection()).await,
                    Phase::OnHttpRequest => policy.on_http_request(&mut request(&lines)).await,
                    Phase::OnHttpResponse => {
                        policy.on_http_response(&mut response(&lines, &lines)).await
                    }
                    Phase::OnEventStreamMessage => {
                        let mut message = Message::default();
                        let mut exchange = response(&lines, &lines);
                        exchange.message = Some(&mut message);
                        policy.on_event_stream_message(&mut exchange)
                    }
                };
                assert!(
                    !matches!(
                        verdict,
                        Verdict::Fault {
                            fault: Fault::Phase,
                            ..
                        }
                    ),
                    "{kind} in {phase}"
                );
            }
        }
    }

    #[test]
    fn an_action_in_the_wrong_phase_is_refused_at_its_type() {
        assert_eq!(
            refused(&one("on_http_response", "deny", "{}")),
            "policy.yaml:3:15: on_http_response[0].actions[0].type: action `deny` does not run in on_http_response, only in on_tcp_connect and on_http_request (ERR_ADIT_2202)
    3 |       - type: deny
      |               ^"
        );
    }

    #[test]
    fn an_action_of_a_later_version_is_refused_and_its_config_not_looked_at() {
        assert_eq!(
            refused(&one("on_http_request", "ai-gateway", "{provider: [1, '${']}")),
            "policy.yaml:3:15: on_http_request[0].actions[0].type: action `ai-gateway` is not built into this version (ERR_ADIT_2201)
    3 |       - type: ai-gateway
      |               ^"
        );
        assert!(refused(&one("on_http_request", "samll", "{}")).contains(
            "unknown action `samll`; `saml` is not built into this version (ERR_ADIT_2201)"
        ));
        assert!(refused(&one("on_http_request", "adit-deny", "{}")).contains("(ERR_ADIT_50015)"));
        assert!(phases("ai-gateway").is_none());
    }

    #[test]
    fn another_spelling_of_a_type_is_understood_with_a_warning() {
        for (alias, kind) in ALIASES {
            assert!(!TYPES.contains(alias) && !LATER.contains(alias));
            if LATER.contains(kind) {
                continue;
            }
            let text = one("on_http_request", alias, some_config(kind));
            let (document, warnings) = read_warned::<Document>("policy.yaml", &text).unwrap();
            let actions = &document.phases[Phase::OnHttpRequest.index()][0].actions;
            assert_eq!(actions[0].kind, *kind);
            let said = warnings[0].to_string();
            assert!(
                said.contains(&format!("`{alias}` is called `{kind}` here")),
                "{said}"
            );
        }
    }

    #[test]
    fn no_action_is_both_built_and_later() {
        assert!(TYPES.iter().all(|kind| !LATER.contains(kind)));
    }
}
