//! `req.user_agent.*`: what the client's software says that it is.

use http::header::USER_AGENT;

use super::super::functions::WITH_REQUEST as QSE;
use super::super::static_type::Type;
use super::super::user_agent::{Form, UserAgent};
use super::super::value::Value;
use super::Variable;
use super::request::of;
use crate::exchange::Exchange;

pub(super) const TABLE: &[Variable] = &[
    text("req.user_agent.name", |x| {
        read(x, |agent| Value::text(agent.name))
    }),
    text("req.user_agent.version", |x| {
        read(x, |agent| Value::text(agent.version))
    }),
    text("req.user_agent.os", |x| {
        read(x, |agent| Value::text(agent.os))
    }),
    text("req.user_agent.os_version", |x| {
        read(x, |agent| Value::text(agent.os_version))
    }),
    text("req.user_agent.device", |x| {
        read(x, |agent| Value::text(agent.device))
    }),
    text("req.user_agent.url", |x| {
        read(x, |agent| Value::text(agent.url))
    }),
    form("req.user_agent.is_mobile", |x| has_form(x, Form::Mobile)),
    form("req.user_agent.is_tablet", |x| has_form(x, Form::Tablet)),
    form("req.user_agent.is_desktop", |x| has_form(x, Form::Desktop)),
    form("req.user_agent.is_bot", |x| has_form(x, Form::Bot)),
];

type Read = for<'e, 'x> fn(&'e Exchange<'x>) -> Value<'e>;

const fn text(name: &'static str, read: Read) -> Variable {
    Variable::new(name, Type::String, QSE, read)
}

const fn form(name: &'static str, read: Read) -> Variable {
    Variable::new(name, Type::Bool, QSE, read)
}

fn read<'e>(x: &'e Exchange<'_>, part: impl FnOnce(UserAgent<'e>) -> Value<'e>) -> Value<'e> {
    of(x, |request| {
        let line = request.head.lines().get(USER_AGENT);
        let line = line.and_then(|line| std::str::from_utf8(line.as_bytes()).ok());
        part(UserAgent::of(line.unwrap_or_default()))
    })
}

fn has_form<'e>(x: &'e Exchange<'_>, form: Form) -> Value<'e> {
    read(x, |agent| Value::Bool(agent.form == form))
}

#[cfg(test)]
mod tests {
    use crate::testing::{gives, gives_in, lines, request};

    #[test]
    fn the_parts_of_the_line_are_variables() {
        let lines = lines(&[(
            "user-agent",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 Version/17.2 Mobile/15E148 Safari/604.1",
        )]);
        gives_in(
            &request(&lines),
            &[
                (
                    "req.user_agent.name + ' ' + req.user_agent.version",
                    "'Safari 17.2'",
                ),
                (
                    "req.user_agent.os + ' ' + req.user_agent.os_version",
                    "'iOS 17.2'",
                ),
                ("req.user_agent.device", "'iPhone'"),
                ("req.user_agent.is_mobile", "true"),
                (
                    "req.user_agent.is_bot || req.user_agent.is_tablet || req.user_agent.is_desktop",
                    "false",
                ),
                ("req.user_agent.contains('Safari/604.1')", "true"),
            ],
        );
        gives(&[
            ("req.user_agent.name + req.user_agent.url", "''"),
            ("req.user_agent.is_bot", "false"),
        ]);
    }
}
