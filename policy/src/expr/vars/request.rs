//! `req.*`: there from the request on.

use http::{HeaderMap, Version, header};

use super::super::cookies::Side;
use super::super::functions::WITH_REQUEST as QSE;
use super::super::map::Map;
use super::super::media_type;
use super::super::static_type::{LINES, TEXTS, Type};
use super::super::value::Value;
use super::{Variable, int, time};
use crate::exchange::{Exchange, Request};

type Read = for<'e, 'x> fn(&'e Exchange<'x>) -> Value<'e>;

const fn text(name: &'static str, read: Read) -> Variable {
    Variable::new(name, Type::String, QSE, read)
}

pub(super) const TABLE: &[Variable] = &[
    text("req.method", |x| {
        of(x, |request| Value::text(request.method.as_str()))
    }),
    text("req.host", |x| {
        of(x, |request| match request.head.lines().get(header::HOST) {
            Some(host) => Value::text(String::from_utf8_lossy(host.as_bytes())),
            None => Value::text(request.authority),
        })
    }),
    text("req.version", |x| {
        of(x, |request| {
            Value::text(match request.version {
                Version::HTTP_2 => "HTTP/2",
                Version::HTTP_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            })
        })
    }),
    text("req.url", |x| of(x, |request| Value::text(request.url()))),
    text("req.url.raw", |x| {
        of(x, |request| {
            Value::text(format!(
                "{}://{}{}",
                request.scheme,
                request.authority,
                request.target.raw()
            ))
        })
    }),
    text("req.url.scheme", |x| {
        of(x, |request| Value::text(request.scheme.name()))
    }),
    text("req.url.authority", |x| {
        of(x, |request| Value::text(request.authority))
    }),
    text("req.url.host", |x| {
        of(x, |request| Value::text(split(request.authority).0))
    }),
    Variable::new("req.url.port", Type::Int, QSE, |x| {
        of(x, |request| {
            let port = split(request.authority).1;
            port.map_or(Value::Null, |port| int(port.into()))
        })
    }),
    text("req.url.path", |x| {
        of(x, |request| Value::text(request.target.path()))
    }),
    text("req.url.raw_path", |x| {
        of(x, |request| Value::text(request.target.raw_path()))
    }),
    text("req.url.uri", |x| {
        of(x, |request| Value::text(request.target.to_string()))
    }),
    text("req.url.query", |x| {
        of(x, |request| {
            Value::text(request.target.query().unwrap_or_default())
        })
    }),
    Variable::new("req.url.query_params", LINES, QSE, |x| {
        of(x, |request| {
            Value::Map(Map::Query(request.target.query().unwrap_or_default()))
        })
    }),
    // An authority with user information is refused before any policy runs.
    text("req.url.user_password", |_| Value::text("")),
    Variable::new("req.headers", LINES, QSE, |x| {
        of(x, |request| request.head.lines().into())
    }),
    // Trailers come behind the body, after every phase that could look at them.
    Variable::new("req.trailers", LINES, QSE, |_| Value::map::<&str>([])),
    Variable::new(
        "req.cookies",
        Type::Map(&Type::List(&Type::Map(&Type::Dyn))),
        QSE,
        |x| {
            of(x, |request| {
                Value::Map(Map::Cookies(request.head.lines(), Side::Request))
            })
        },
    ),
    text("req.content_type", |x| {
        of(x, |request| media_type::essence(request.head.lines()))
    }),
    text("req.content_type.raw", |x| {
        of(x, |request| {
            line(request.head.lines(), &header::CONTENT_TYPE)
        })
    }),
    Variable::new(
        "req.content_type.parameters",
        Type::Map(&Type::String),
        QSE,
        |x| of(x, |request| media_type::parameters(request.head.lines())),
    ),
    Variable::new("req.content_encoding", TEXTS, QSE, |x| {
        of(x, |request| {
            media_type::listed(request.head.lines(), &header::CONTENT_ENCODING)
        })
    }),
    Variable::new("req.content_length", Type::Int, QSE, |x| {
        of(x, |request| match request.new_body() {
            Some(body) => int(body.len() as u64),
            None if request.has_body => length(request.head.lines()),
            None => Value::Int(0),
        })
    }),
    text("req.location", |x| {
        of(x, |request| line(request.head.lines(), &header::LOCATION))
    }),
    text("req.user_agent", |x| {
        of(x, |request| line(request.head.lines(), &header::USER_AGENT))
    }),
    Variable::new("req.ts.header_received", Type::Timestamp, QSE, |x| {
        of(x, |request| time(request.received))
    }),
    Variable::new("req.ts.body_received", Type::Timestamp, QSE, |_| {
        Value::Null
    }),
];

/// The caller checks at load that there is a request where such a variable stands.
pub(super) fn of<'e, 'x>(
    x: &'e Exchange<'x>,
    read: impl FnOnce(&'e Request<'x>) -> Value<'e>,
) -> Value<'e> {
    x.request.as_ref().map_or(Value::Null, read)
}

/// The first line of a header, `""` if there is none.
pub(super) fn line<'e>(lines: &'e HeaderMap, name: &http::HeaderName) -> Value<'e> {
    let value = lines.get(name).map(|value| value.as_bytes());
    Value::text(String::from_utf8_lossy(value.unwrap_or_default()))
}

/// `content-length`; null if there is none.
pub(super) fn length(lines: &HeaderMap) -> Value<'static> {
    let value = lines.get(header::CONTENT_LENGTH);
    let length = value.and_then(|value| value.to_str().ok()?.parse().ok());
    length.map_or(Value::Null, Value::Int)
}

/// Host and port of an authority in canonical form.
fn split(authority: &str) -> (&str, Option<u16>) {
    let cut = authority.rsplit_once(':');
    let cut = cut.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    match cut {
        Some((host, port)) if !host.is_empty() => (host, Some(port)),
        _ => (authority, None),
    }
}
