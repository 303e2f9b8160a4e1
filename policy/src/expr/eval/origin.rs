//! What of an exchange came from secrets: header lines that a policy made, and the target that it put in the request's.

use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName,
    HeaderValue, LOCATION, SET_COOKIE, USER_AGENT,
};

use super::super::map::Map;
use super::super::node::Node;
use super::super::value::Value;
use super::super::vars::Variable;
use super::{Frame, Outcome, eval, made};
use crate::exchange::Exchange;
use crate::expr::cookies::Side;
use crate::expr::error::EvalError;
use crate::taint::Taint;

/// What is read of a header, and the line that it is read from.
const LINES: &[(&str, HeaderName)] = &[
    ("host", HOST),
    ("cookies", COOKIE),
    ("content_type", CONTENT_TYPE),
    ("content_encoding", CONTENT_ENCODING),
    ("content_length", CONTENT_LENGTH),
    ("location", LOCATION),
    ("user_agent", USER_AGENT),
];

/// Of a variable as a whole.
pub(super) fn of(variable: &Variable, exchange: &Exchange<'_>) -> Taint {
    match exchange.memory.has_secrets() {
        true => read(variable.name, exchange),
        false => Taint::None,
    }
}

/// The value of a map that is only looked up in: where it is a variable, nothing is marked yet.
pub(super) fn unmarked<'e>(node: &'e Node, frame: &mut Frame<'e, '_>) -> Outcome<'e> {
    match node {
        Node::Variable(variable) => {
            frame.spend(1)?;
            made((variable.read)(frame.exchange()?), frame)
        }
        node => eval(node, frame),
    }
}

/// Of what such a lookup finds.
pub(super) fn of_entry(
    node: &Node,
    map: &Value<'_>,
    key: &Value<'_>,
    frame: &Frame<'_, '_>,
) -> Result<Taint, EvalError> {
    let Node::Variable(variable) = node else {
        return Ok(Taint::None);
    };
    let exchange = frame.exchange()?;
    Ok(match (map, key) {
        _ if !exchange.memory.has_secrets() => Taint::None,
        (Value::Map(Map::Headers(lines)), Value::String(name)) => of_lines(lines, name, exchange),
        _ => read(variable.name, exchange),
    })
}

/// Of one line of a header.
pub(super) fn of_line(line: &HeaderValue, frame: &Frame<'_, '_>) -> Taint {
    match (line.is_sensitive(), frame.exchange()) {
        (true, Ok(exchange)) => exchange.memory.taint_of_line(line),
        _ => Taint::None,
    }
}

/// Of all lines of a name.
pub(in crate::expr) fn of_lines(lines: &HeaderMap, name: &str, exchange: &Exchange<'_>) -> Taint {
    joined(lines.get_all(name), exchange)
}

/// Of all cookies: they share their lines.
pub(in crate::expr) fn of_cookies(lines: &HeaderMap, side: Side, exchange: &Exchange<'_>) -> Taint {
    of_lines(lines, side.header().as_str(), exchange)
}

fn read(name: &str, exchange: &Exchange<'_>) -> Taint {
    let memory = &exchange.memory;
    let (root, rest) = name.split_once('.').unwrap_or((name, ""));
    let head = match root {
        "req" => exchange.request.as_ref().map(|request| &request.head),
        "res" => exchange.response.as_ref().map(|response| &response.head),
        "last_attempt" => return memory.secret_parts().attempt,
        _ => None,
    };
    let Some(head) = head else {
        return Taint::None;
    };
    let field = rest.split('.').next().unwrap_or_default();
    match field {
        "url" => memory.secret_parts().target,
        "headers" => joined(head.lines().values(), exchange),
        "cookies" if root == "res" => joined(head.lines().get_all(SET_COOKIE), exchange),
        _ => match LINES.iter().find(|(known, _)| *known == field) {
            Some((_, line)) => joined(head.lines().get_all(line), exchange),
            None => Taint::None,
        },
    }
}

fn joined<'l>(lines: impl IntoIterator<Item = &'l HeaderValue>, exchange: &Exchange<'_>) -> Taint {
    let secret = lines.into_iter().filter(|line| line.is_sensitive());
    secret.fold(Taint::None, |all, line| {
        all.and(exchange.memory.taint_of_line(line))
    })
}
