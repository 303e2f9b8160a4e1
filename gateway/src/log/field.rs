//! What a line of the access log may tell of an exchange.

use std::{borrow::Cow, time::Duration};

use serde::Deserialize;

macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $field:ident = $name:literal,)+) => {
        /// A field of the access log, as `log.access.fields` names it. What an exchange does not have, its line leaves out.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        pub enum Field {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $field,)+
        }

        impl Field {
            /// Every field, in the order of the reference.
            pub const ALL: &[Self] = &[$(Self::$field),+];

            /// Its name in the configuration and in the line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name,)+
                }
            }
        }
    };
}

fields! {
    /// When the request came, in UTC, to the millisecond.
    Time = "time",
    /// The client's address; behind trusted proxies the one that they name.
    Client = "client",
    /// The request's method.
    Method = "method",
    /// `http` or `https`, as the client spoke.
    Scheme = "scheme",
    /// `http/1.0`, `http/1.1`, `h2`; `websocket` or `grpc` if that is spoken inside.
    Protocol = "protocol",
    /// The host that the client asked for.
    Host = "host",
    /// The path as the service got it. Of a target that a policy made from a secret, a mark in its place.
    Path = "path",
    /// What stands behind the `?`. People and programs put secrets there, so it is told only where it is asked for.
    Query = "query",
    /// The status that the client got; without one if its connection was closed before.
    Status = "status",
    /// `ERR_ADIT_…`, if the gateway made the response because something was wrong.
    ErrorCode = "error_code",
    /// Bytes of the request's body.
    BytesIn = "bytes_in",
    /// Bytes of the response's body.
    BytesOut = "bytes_out",
    /// From the request to the end of the response, in milliseconds.
    Duration = "duration_ms",
    /// From the request to the head of the service's response, in milliseconds.
    FirstByte = "first_byte_ms",
    /// The URL of the endpoint that the request was for.
    Endpoint = "endpoint",
    /// The endpoint to which a policy forwarded it.
    ForwardedTo = "forwarded_to",
    /// The name of the agent that served it, from `gateway.yaml`.
    Agent = "agent",
    /// The member of the pool: the agent's session at this endpoint.
    Member = "member",
    /// How many members were tried.
    Tries = "tries",
    /// Why the tries before the last one failed.
    RetryReasons = "retry_reasons",
    /// How a policy ended its phase, if one did: `answer`, `deny`, `refuse`, `close`, `forward`, `fault`.
    Verdict = "verdict",
    /// Which rule and action that was.
    Rule = "rule",
    /// Who the caller is, as a policy has found out: an id, and maybe a mail address. Told only where it is asked for.
    User = "user",
    /// The header `user-agent`.
    UserAgent = "user_agent",
    /// The header `referer`.
    Referer = "referer",
    /// The trace id of `traceparent`.
    TraceId = "trace_id",
    /// `1.2` or `1.3`.
    TlsVersion = "tls_version",
    /// The suite by its IANA name.
    TlsCipher = "tls_cipher",
    /// The name in the client's TLS hello.
    Sni = "sni",
    /// The JA4 fingerprint of the client's TLS hello.
    Ja4 = "ja4",
    /// Why the gateway ended the exchange before its time, if it did.
    Ended = "ended",
}

impl Field {
    /// Those of a line for which nobody has chosen others.
    pub const USUAL: &[Self] = &[
        Self::Time,
        Self::Client,
        Self::Method,
        Self::Scheme,
        Self::Protocol,
        Self::Host,
        Self::Path,
        Self::Status,
        Self::ErrorCode,
        Self::BytesIn,
        Self::BytesOut,
        Self::Duration,
        Self::Endpoint,
        Self::Agent,
        Self::Tries,
        Self::UserAgent,
        Self::TraceId,
    ];
}

/// What a field says of one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Absent,
    Text(Cow<'a, str>),
    Number(u64),
    /// Told in milliseconds.
    Time(Duration),
    List(Vec<Cow<'a, str>>),
}

// === impl Value ===

impl<'a> Value<'a> {
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// A text that may not be there.
    pub(crate) fn maybe(text: Option<impl Into<Cow<'a, str>>>) -> Self {
        text.map_or(Self::Absent, Self::text)
    }

    pub(crate) fn number(number: impl TryInto<u64>) -> Self {
        number.try_into().map_or(Self::Absent, Self::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_fields_tell_no_secrets_and_no_names_of_people() {
        for field in [Field::Query, Field::User, Field::Referer] {
            assert!(!Field::USUAL.contains(&field), "{field:?}");
        }
    }

    #[test]
    fn each_field_is_read_by_its_own_name() {
        assert!(Field::ALL.len() > Field::USUAL.len());
        for field in Field::ALL {
            let read: Field = serde_yaml::from_str(field.name()).unwrap();
            assert_eq!(read, *field);
        }
        assert!(serde_yaml::from_str::<Field>("cookie").is_err());
    }
}
