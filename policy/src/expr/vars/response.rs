//! `res.*`: there from the response on.

use http::header;

use super::super::cookies::Side;
use super::super::functions::WITH_RESPONSE as SE;
use super::super::map::Map;
use super::super::media_type;
use super::super::static_type::{LINES, TEXTS, Type};
use super::super::value::Value;
use super::Variable;
use super::request::{length, line};
use crate::exchange::{Exchange, Response};

pub(super) const TABLE: &[Variable] = &[
    Variable::new("res.status_code", Type::Int, SE, |x| {
        of(x, |response| Value::Int(response.status.as_u16().into()))
    }),
    Variable::new("res.headers", LINES, SE, |x| {
        of(x, |response| response.head.lines().into())
    }),
    Variable::new("res.trailers", LINES, SE, |_| Value::map::<&str>([])),
    Variable::new(
        "res.cookies",
        Type::Map(&Type::List(&Type::Map(&Type::Dyn))),
        SE,
        |x| {
            of(x, |response| {
                Value::Map(Map::Cookies(response.head.lines(), Side::Response))
            })
        },
    ),
    Variable::new("res.content_type", Type::String, SE, |x| {
        of(x, |response| media_type::essence(response.head.lines()))
    }),
    Variable::new("res.content_type.raw", Type::String, SE, |x| {
        of(x, |response| {
            line(response.head.lines(), &header::CONTENT_TYPE)
        })
    }),
    Variable::new(
        "res.content_type.parameters",
        Type::Map(&Type::String),
        SE,
        |x| of(x, |response| media_type::parameters(response.head.lines())),
    ),
    Variable::new("res.content_encoding", TEXTS, SE, |x| {
        of(x, |response| {
            media_type::listed(response.head.lines(), &header::CONTENT_ENCODING)
        })
    }),
    Variable::new("res.content_length", Type::Int, SE, |x| {
        of(x, |response| length(response.head.lines()))
    }),
    Variable::new("res.location", Type::String, SE, |x| {
        of(x, |response| line(response.head.lines(), &header::LOCATION))
    }),
];

/// The caller checks at load that there is a response where such a variable stands.
fn of<'e, 'x>(x: &'e Exchange<'x>, read: impl FnOnce(&'e Response<'x>) -> Value<'e>) -> Value<'e> {
    x.response.as_ref().map_or(Value::Null, read)
}
