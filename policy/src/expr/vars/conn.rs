//! `conn.*`, `endpoint.*` and `time.now`: there in every phase.

use super::super::static_type::{TEXTS, Type};
use super::super::value::Value;
use super::{Variable, int, time};
use crate::action::Phase;
use crate::exchange::{Exchange, Tls};

/// A text that no source fills in yet: address intelligence, client certificates.
const fn empty(name: &'static str) -> Variable {
    Variable::new(name, Type::String, Phase::ALL, |_| Value::text(""))
}

const fn no_list(name: &'static str) -> Variable {
    Variable::new(name, TEXTS, Phase::ALL, |_| Value::list([]))
}

const fn no(name: &'static str) -> Variable {
    Variable::new(name, Type::Bool, Phase::ALL, |_| Value::Bool(false))
}

const fn text(name: &'static str, read: for<'e, 'x> fn(&'e Exchange<'x>) -> Value<'e>) -> Variable {
    Variable::new(name, Type::String, Phase::ALL, read)
}

const fn number(
    name: &'static str,
    read: for<'e, 'x> fn(&'e Exchange<'x>) -> Value<'e>,
) -> Variable {
    Variable::new(name, Type::Int, Phase::ALL, read)
}

macro_rules! certificate {
    ($side:literal) => {
        [
            empty(concat!("conn.tls.", $side, ".subject")),
            empty(concat!("conn.tls.", $side, ".subject.common_name")),
            no_list(concat!("conn.tls.", $side, ".subject.country")),
            no_list(concat!("conn.tls.", $side, ".subject.locality")),
            no_list(concat!("conn.tls.", $side, ".subject.organization")),
            no_list(concat!("conn.tls.", $side, ".subject.organizational_unit")),
            no_list(concat!("conn.tls.", $side, ".subject.postal_code")),
            no_list(concat!("conn.tls.", $side, ".subject.province")),
            no_list(concat!("conn.tls.", $side, ".subject.street_address")),
            empty(concat!("conn.tls.", $side, ".issuer")),
            empty(concat!("conn.tls.", $side, ".issuer.common_name")),
            no_list(concat!("conn.tls.", $side, ".issuer.country")),
            no_list(concat!("conn.tls.", $side, ".issuer.locality")),
            no_list(concat!("conn.tls.", $side, ".issuer.organization")),
            no_list(concat!("conn.tls.", $side, ".issuer.organizational_unit")),
            no_list(concat!("conn.tls.", $side, ".issuer.postal_code")),
            no_list(concat!("conn.tls.", $side, ".issuer.province")),
            no_list(concat!("conn.tls.", $side, ".issuer.street_address")),
            empty(concat!("conn.tls.", $side, ".san")),
            no_list(concat!("conn.tls.", $side, ".san.dns_names")),
            no_list(concat!("conn.tls.", $side, ".san.email_addresses")),
            no_list(concat!("conn.tls.", $side, ".san.ip_addresses")),
            no_list(concat!("conn.tls.", $side, ".san.uris")),
            empty(concat!("conn.tls.", $side, ".serial_number")),
            empty(concat!("conn.tls.", $side, ".signature_algorithm")),
            Variable::new(
                concat!("conn.tls.", $side, ".validity.not_before"),
                Type::Timestamp,
                Phase::ALL,
                |_| Value::Null,
            ),
            Variable::new(
                concat!("conn.tls.", $side, ".validity.not_after"),
                Type::Timestamp,
                Phase::ALL,
                |_| Value::Null,
            ),
            Variable::new(
                concat!("conn.tls.", $side, ".extensions"),
                Type::List(&Type::Dyn),
                Phase::ALL,
                |_| Value::list([]),
            ),
            empty(concat!("conn.tls.", $side, ".pem")),
        ]
    };
}

macro_rules! address {
    ($side:literal) => {
        [
            empty(concat!("conn.", $side, ".geo.location.city")),
            empty(concat!("conn.", $side, ".geo.location.continent")),
            empty(concat!("conn.", $side, ".geo.location.country")),
            empty(concat!("conn.", $side, ".geo.location.country_code")),
            empty(concat!("conn.", $side, ".geo.location.latitude")),
            empty(concat!("conn.", $side, ".geo.location.longitude")),
            empty(concat!("conn.", $side, ".geo.location.metro_code")),
            empty(concat!("conn.", $side, ".geo.location.postal_code")),
            empty(concat!("conn.", $side, ".geo.location.radius")),
            empty(concat!("conn.", $side, ".geo.location.subdivision")),
            empty(concat!("conn.", $side, ".geo.location.timezone")),
            no(concat!("conn.", $side, ".geo.location.is_eu")),
            empty(concat!("conn.", $side, ".geo.registered_location.city")),
            empty(concat!(
                "conn.",
                $side,
                ".geo.registered_location.continent"
            )),
            empty(concat!("conn.", $side, ".geo.registered_location.country")),
            empty(concat!(
                "conn.",
                $side,
                ".geo.registered_location.country_code"
            )),
            empty(concat!(
                "conn.",
                $side,
                ".geo.registered_location.metro_code"
            )),
            empty(concat!(
                "conn.",
                $side,
                ".geo.registered_location.subdivision"
            )),
            empty(concat!("conn.", $side, ".geo.registered_location.timezone")),
            no(concat!("conn.", $side, ".geo.registered_location.is_eu")),
            number(concat!("conn.", $side, ".as.number"), |_| Value::Int(0)),
            empty(concat!("conn.", $side, ".as.organization")),
            no_list(concat!("conn.", $side, ".categories")),
            no(concat!("conn.", $side, ".is_on_blocklist")),
            no(concat!("conn.", $side, ".is_tor_node")),
        ]
    };
}

/// Address intelligence and certificates: declared, and empty until a source is there.
pub(super) const EMPTY: &[&[Variable]] = &[
    &certificate!("client"),
    &certificate!("server"),
    &address!("client_ip"),
    &address!("server_ip"),
    &[
        empty("conn.geo.city"),
        empty("conn.geo.country"),
        empty("conn.geo.country_code"),
        empty("conn.geo.subdivision"),
        empty("conn.geo.latitude"),
        empty("conn.geo.longitude"),
        empty("conn.geo.radius"),
        empty("conn.k8s.pod.id"),
        empty("conn.k8s.pod.metadata.name"),
        empty("conn.k8s.pod.metadata.namespace"),
        empty("conn.k8s.pod.error_code"),
        empty("conn.k8s.pod.error_message"),
        Variable::new(
            "conn.k8s.pod.metadata.annotations",
            Type::Map(&Type::String),
            Phase::ALL,
            |_| Value::map::<&str>([]),
        ),
    ],
];

pub(super) const TABLE: &[Variable] = &[
    text("conn.client_ip", |x| {
        Value::text(x.conn.client.ip().to_canonical().to_string())
    }),
    number("conn.client_port", |x| int(x.conn.client.port().into())),
    text("conn.server_ip", |x| {
        Value::text(x.conn.server.ip().to_canonical().to_string())
    }),
    number("conn.server_port", |x| int(x.conn.server.port().into())),
    text("conn.server_region", |x| Value::text(x.conn.region)),
    number("conn.bytes_in", |x| int(x.conn.bytes_in)),
    number("conn.bytes_out", |x| int(x.conn.bytes_out)),
    Variable::new("conn.ts.start", Type::Timestamp, Phase::ALL, |x| {
        time(x.conn.started)
    }),
    text("conn.tls.sni", |x| tls(x, |tls| tls.sni)),
    text("conn.tls.ja4_fingerprint", |x| tls(x, |tls| tls.ja4)),
    text("conn.tls.version", |x| tls(x, |tls| tls.version)),
    text("conn.tls.cipher_suite", |x| tls(x, |tls| tls.cipher_suite)),
    text("conn.tls.negotiated_alpn", |x| tls(x, |tls| tls.alpn)),
    Variable::new("conn.tls.session_resumed", Type::Bool, Phase::ALL, |x| {
        x.conn.tls.as_ref().is_some_and(|tls| tls.resumed).into()
    }),
    text("endpoint.id", |x| Value::text(x.endpoint.id)),
    text("endpoint.url", |x| Value::text(x.endpoint.url.to_string())),
    text("endpoint.protocol", |x| {
        Value::text(x.endpoint.url.scheme.name())
    }),
    text("endpoint.host", |x| Value::text(host(x))),
    number("endpoint.port", |x| {
        x.endpoint
            .url
            .effective_port()
            .map_or(Value::Null, |port| int(port.into()))
    }),
    text("endpoint.addr", |x| match x.endpoint.url.effective_port() {
        Some(port) => Value::text(format!("{}:{port}", host(x))),
        None => Value::text(host(x)),
    }),
    text("time.now", |x| {
        Value::text(x.memory.now(x.env.clock()).to_string())
    }),
];

fn tls<'e, 'x>(x: &'e Exchange<'x>, read: fn(&Tls<'x>) -> &'x str) -> Value<'e> {
    Value::text(x.conn.tls.as_ref().map_or("", read))
}

fn host(x: &Exchange<'_>) -> String {
    x.endpoint.url.host.to_string()
}
