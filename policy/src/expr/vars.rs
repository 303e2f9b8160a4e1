//! The table of variables: names, types, where they are there, and how they are read. A name may be a value and have
//! fields at once (`req.url`, `req.url.path`): each dotted name is a variable of its own.

mod attempt;
mod conn;
mod identity;
mod request;
mod response;
mod user_agent;

use super::static_type::Type;
use super::value::Value;
use crate::action::Phase;
use crate::exchange::Exchange;

/// One variable.
#[derive(Debug)]
pub(crate) struct Variable {
    /// Its whole dotted name.
    pub(crate) name: &'static str,
    /// Its type; a number or a time may be null as well.
    pub(crate) kind: Type,
    /// Where it is there.
    pub(crate) phases: &'static [Phase],
    /// Reads it.
    pub(crate) read: for<'e, 'x> fn(&'e Exchange<'x>) -> Value<'e>,
}

const TABLES: &[&[Variable]] = &[
    conn::TABLE,
    identity::TABLE,
    request::TABLE,
    response::TABLE,
    user_agent::TABLE,
];

/// Names that other products or older versions have, and what they are called here.
pub(super) const HINTS: &[(&str, &str)] = &[
    ("req.path", "req.url.path"),
    ("req.raw", "req.url.raw"),
    ("req.query", "req.url.query"),
    ("req.ip", "conn.client_ip"),
    ("conn.ts.end", "conn.ts.start"),
    ("ngrok.geo", "conn.geo.country_code"),
    ("http", "req.method, req.url and req.headers"),
    (
        "attempts",
        "`attempts`, only in `retry_condition` of `http-request`",
    ),
    (
        "last_attempt",
        "`last_attempt`, only in `retry_condition` of `http-request`",
    ),
];

/// Every variable.
pub(crate) fn all() -> impl Iterator<Item = &'static Variable> {
    let tables = TABLES.iter().chain(conn::EMPTY);
    tables.copied().flatten()
}

/// Whether nothing in this version fills the variable in, so that it is always empty.
pub(super) fn has_no_source(variable: &Variable) -> bool {
    let mut empty = conn::EMPTY.iter().copied().flatten();
    empty.any(|other| other.name == variable.name)
}

/// The variable with the longest name that begins the segments, and how many of them it takes.
pub(super) fn longest(segments: &[&str]) -> Option<(&'static Variable, usize)> {
    (1..=segments.len()).rev().find_map(|taken| {
        let name = segments.get(..taken)?.join(".");
        let mut known = all().chain(attempt::table());
        let variable = known.find(|variable| variable.name == name)?;
        Some((variable, taken))
    })
}

impl Variable {
    const fn new(
        name: &'static str,
        kind: Type,
        phases: &'static [Phase],
        read: for<'e, 'x> fn(&'e Exchange<'x>) -> Value<'e>,
    ) -> Self {
        Self {
            name,
            kind,
            phases,
            read,
        }
    }
}

/// Whole numbers beyond `i64` do not occur; should one, it is the greatest.
fn int(value: u64) -> Value<'static> {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn time(value: std::time::SystemTime) -> Value<'static> {
    jiff::Timestamp::try_from(value).map_or(Value::Null, Value::Timestamp)
}
