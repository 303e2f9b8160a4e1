//! An exchange that has ended, as it is told to people: every log, record and report reads it here.

use std::{
    borrow::Cow,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use http::{HeaderName, HeaderValue, Version, header};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::{exchange::Exchange, traceparent::TraceId};
use crate::{
    edge::Edge,
    front::io::{Connection, connection},
    log::{Field, Value},
    moment,
    pools::health::Failure,
    traces::{Record, Steps, Try},
};

/// Stands for a value that came from a secret.
const HIDDEN: &str = "[redacted]";

/// What can be told of an exchange.
pub(super) struct Told<'a> {
    edge: &'a Edge,
    session: &'a Session,
    exchange: &'a Exchange,
    request: &'a RequestHeader,
    facts: Option<&'a Connection>,
    /// Stands for the target, if that came from a secret.
    secret: Option<String>,
    now: SystemTime,
    pub(super) took: Duration,
}

// === impl Told ===

impl<'a> Told<'a> {
    pub(super) fn of(edge: &'a Edge, session: &'a Session, exchange: &'a Exchange) -> Self {
        let mut layers = exchange.layers.iter();
        Self {
            edge,
            session,
            exchange,
            request: session.req_header(),
            facts: connection(session),
            secret: layers.find_map(|layer| layer.memory.secret_target()),
            now: SystemTime::now(),
            took: exchange.began.elapsed(),
        }
    }

    pub(super) fn now(&self) -> SystemTime {
        self.now
    }

    fn began(&self) -> SystemTime {
        self.now.checked_sub(self.took).unwrap_or(self.now)
    }

    pub(super) fn method(&self) -> &str {
        self.request.method.as_str()
    }

    pub(super) fn path(&self) -> &str {
        self.secret
            .as_deref()
            .unwrap_or_else(|| self.request.uri.path())
    }

    pub(super) fn status(&self) -> Option<u16> {
        let written = self.session.response_written()?;
        Some(written.status.as_u16())
    }

    /// The host in its canonical form, or as it came if it is nobody's here.
    pub(super) fn host(&self) -> Cow<'_, str> {
        if let Some(routed) = &self.exchange.routed {
            return Cow::Borrowed(routed.host.as_str());
        }
        match self.request.uri.authority() {
            Some(authority) => Cow::Borrowed(authority.as_str()),
            None => self.header(&header::HOST).unwrap_or_default(),
        }
    }

    pub(super) fn client(&self) -> Option<IpAddr> {
        let routed = self.exchange.routed.as_ref();
        let believed = routed.map(|routed| routed.client);
        let peer = || self.facts.map(|facts| facts.peer);
        believed.or_else(peer).map(|address| address.ip())
    }

    /// What a line of the access log says in a field.
    pub(super) fn value(&self, field: Field) -> Value<'_> {
        match field {
            Field::Time => Value::text(moment::millis(self.began())),
            Field::Client => Value::maybe(self.client().map(|client| client.to_string())),
            Field::Method => Value::text(self.method()),
            Field::Scheme => Value::text(self.scheme()),
            Field::Protocol => Value::text(self.protocol()),
            Field::Host => Value::text(self.host()),
            Field::Path => Value::text(self.path()),
            Field::Query => match &self.secret {
                None => Value::maybe(self.request.uri.query()),
                Some(_) => Value::text(HIDDEN),
            },
            Field::Status => self.status().map_or(Value::Absent, Value::number),
            Field::ErrorCode => Value::maybe(self.error_code()),
            Field::BytesIn => Value::number(self.session.body_bytes_read()),
            Field::BytesOut => Value::number(self.session.body_bytes_sent()),
            Field::Duration => Value::Time(self.took),
            Field::FirstByte => self.exchange.first_byte.map_or(Value::Absent, Value::Time),
            Field::UserAgent => Value::maybe(self.header(&header::USER_AGENT)),
            Field::Referer => Value::maybe(self.header(&header::REFERER)),
            Field::TraceId => {
                let id = self.exchange.trace_id.as_ref();
                Value::maybe(id.map(TraceId::as_str))
            }
            Field::Ended => Value::maybe(self.exchange.ended().map(|why| why.to_string())),
            Field::TlsVersion | Field::TlsCipher | Field::Sni | Field::Ja4 => self.of_tls(field),
            _ => self.of_its_way(field),
        }
    }

    /// Where it went, and who decided about it.
    fn of_its_way(&self, field: Field) -> Value<'_> {
        let exchange = self.exchange;
        if let Field::Verdict | Field::Rule = field {
            let decided = exchange.decided.as_ref();
            return match field {
                Field::Verdict => Value::maybe(decided.map(|(verdict, _)| *verdict)),
                _ => Value::maybe(decided.map(|(_, by)| by.to_string())),
            };
        }
        let Some(routed) = &exchange.routed else {
            return Value::Absent;
        };
        match field {
            Field::Endpoint => Value::text(routed.endpoint.url.to_string()),
            Field::ForwardedTo => {
                let other = (routed.serving.id != routed.endpoint.id).then_some(&routed.serving);
                Value::maybe(other.map(|serving| serving.url.to_string()))
            }
            Field::Agent => Value::maybe(self.agent()),
            Field::Member => {
                let member = self.exchange.member();
                Value::maybe(member.map(|member| self.edge.ids.member(member.id)))
            }
            Field::Tries => {
                Value::number(exchange.tries.misses.len() + usize::from(exchange.asked()))
            }
            Field::RetryReasons if exchange.tries.misses.is_empty() => Value::Absent,
            Field::RetryReasons => {
                Value::List(self.tries().map(|tried| tried.why.into()).collect())
            }
            Field::User => {
                let mut layers = exchange.layers.iter().rev();
                let user = layers.find_map(|layer| layer.memory.identity());
                Value::maybe(user.map(|user| user.id.as_str()))
            }
            _ => Value::Absent,
        }
    }

    fn of_tls(&self, field: Field) -> Value<'_> {
        let Some(facts) = self.facts else {
            return Value::Absent;
        };
        let given = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        match field {
            Field::TlsVersion => Value::maybe(facts.agreed.map(|agreed| agreed.version)),
            Field::TlsCipher => Value::maybe(facts.agreed.map(|agreed| agreed.cipher_suite)),
            Field::Sni => Value::maybe(facts.sni.as_ref().map(|sni| sni.as_str())),
            _ => Value::maybe(given(&facts.ja4)),
        }
    }

    /// Remembers it.
    pub(super) fn record(&self, record: &mut Record) {
        let exchange = self.exchange;
        record.began = Some(self.began());
        record.took = self.took;
        record.client = self.client();
        record.method.push_str(self.method());
        record.scheme = self.scheme();
        record.host.push_str(&self.host());
        record.set_path(self.path());
        record.status = self.status();
        record
            .error
            .push_str(&self.error_code().unwrap_or_default());
        record.verdict.clone_from(&exchange.decided);
        record.trace_id = exchange.trace_id;
        if let Some(routed) = &exchange.routed {
            record.endpoint.push_str(&routed.endpoint.id);
            if routed.serving.id != routed.endpoint.id {
                record.served_by.push_str(&routed.serving.id);
            }
            record.agent.push_str(self.agent().unwrap_or_default());
            record.member = routed.member.as_ref().map(|member| member.id);
        }
        record.tries.extend(self.tries());
        for layer in &exchange.layers {
            if let Some(trace) = layer.memory.trace() {
                record.steps.push(Steps {
                    endpoint: layer.endpoint.id.to_string(),
                    agent: layer
                        .member
                        .as_ref()
                        .map(|member| member.session.owner.clone()),
                    trace: trace.clone(),
                });
            }
        }
    }

    fn tries(&self) -> impl Iterator<Item = Try> {
        let misses = self.exchange.tries.misses.iter();
        misses.map(|miss| Try {
            member: miss.member.id,
            why: miss.why.map_or("refused", Failure::name),
        })
    }

    fn agent(&self) -> Option<&str> {
        let member = self.exchange.member()?;
        Some(member.session.owner.as_str())
    }

    fn error_code(&self) -> Option<Cow<'_, str>> {
        let written = self.session.response_written()?;
        let code = written.headers.get("adit-error-code")?;
        Some(shown(code))
    }

    fn scheme(&self) -> &'static str {
        match self.facts.is_some_and(|facts| facts.tls) {
            true => "https",
            false => "http",
        }
    }

    fn protocol(&self) -> &'static str {
        let grpc = self
            .exchange
            .routed
            .as_ref()
            .is_some_and(|routed| routed.grpc);
        match self.request.version {
            _ if grpc => "grpc",
            _ if self.exchange.frames.is_some() => "websocket",
            Version::HTTP_2 => "h2",
            Version::HTTP_10 => "http/1.0",
            _ => "http/1.1",
        }
    }

    fn header(&self, name: &HeaderName) -> Option<Cow<'_, str>> {
        self.request.headers.get(name).map(shown)
    }
}

/// A value as it may be shown.
fn shown(value: &HeaderValue) -> Cow<'_, str> {
    match value.is_sensitive() {
        true => Cow::Borrowed(HIDDEN),
        false => String::from_utf8_lossy(value.as_bytes()),
    }
}
