//! `identity.*`: who the caller is, however an action has found it out. Empty while nobody is authenticated.

use super::super::functions::WITH_REQUEST as QSE;
use super::super::map::Map;
use super::super::static_type::{MAP, TEXTS, Type};
use super::super::value::Value;
use super::Variable;
use crate::exchange::Exchange;
use crate::identity::Identity;

const fn text(name: &'static str, read: for<'e, 'x> fn(&'e Exchange<'x>) -> Value<'e>) -> Variable {
    Variable::new(name, Type::String, QSE, read)
}

pub(super) const TABLE: &[Variable] = &[
    Variable::new("identity.authenticated", Type::Bool, QSE, |x| {
        Value::Bool(x.memory.identity().is_some())
    }),
    text("identity.kind", |x| of(x, |who| who.kind)),
    text("identity.id", |x| of(x, |who| &who.id)),
    text("identity.name", |x| of(x, |who| &who.name)),
    text("identity.email", |x| of(x, |who| &who.email)),
    Variable::new("identity.email_verified", Type::Bool, QSE, |x| {
        let identity = x.memory.identity();
        Value::Bool(identity.is_some_and(|who| who.email_verified))
    }),
    text("identity.issuer", |x| of(x, |who| &who.issuer)),
    Variable::new("identity.groups", TEXTS, QSE, |x| {
        let groups = x.memory.identity().map(|who| who.groups.as_slice());
        let groups = groups.unwrap_or_default().iter();
        Value::texts(groups.map(String::as_str))
    }),
    Variable::new("identity.claims", MAP, QSE, |x| {
        match x.memory.identity() {
            // A view: a claim is converted when it is asked for.
            Some(who) => Value::Map(Map::Json(&who.claims)),
            None => Value::map::<&str>([]),
        }
    }),
];

fn of<'e>(x: &'e Exchange<'_>, read: impl FnOnce(&'e Identity) -> &'e str) -> Value<'e> {
    Value::text(x.memory.identity().map_or("", |who| read(who)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::action::Phase;
    use crate::document::scope::with_phase;
    use crate::expr::Expression;
    use crate::testing::{eval_in, gives, gives_in, request};

    fn alice() -> Arc<Identity> {
        let claims = json!({
            "department": "mines", "level": 3, "roles": ["admin", "user"], "address": {"city": "Ely"}, "score": 1.5,
            "none": null,
        });
        Arc::new(Identity {
            kind: "oidc",
            id: "u1".to_owned(),
            name: "Alice".to_owned(),
            email: "alice@example.com".to_owned(),
            email_verified: true,
            issuer: "https://id.example".to_owned(),
            groups: vec!["ops".to_owned(), "dev".to_owned()],
            claims: Arc::new(claims.as_object().unwrap().clone()),
            session: None,
            until: None,
        })
    }

    #[test]
    fn the_caller_is_shown() {
        let lines = HeaderMap::new();
        let mut exchange = request(&lines);
        exchange.memory.set_identity(alice());
        gives_in(
            &exchange,
            &[
                ("identity.authenticated", "true"),
                ("identity.kind", "'oidc'"),
                ("identity.id", "'u1'"),
                ("identity.name", "'Alice'"),
                ("identity.email.endsWith('@example.com')", "true"),
                ("identity.email_verified", "true"),
                ("identity.issuer", "'https://id.example'"),
                ("identity.groups", "['ops', 'dev']"),
                ("'ops' in identity.groups", "true"),
                ("identity.claims.department", "'mines'"),
                ("identity.claims['level'] + 1", "4"),
                ("identity.claims.score", "1.5"),
                ("'admin' in identity.claims.roles", "true"),
                ("identity.claims.address.city", "'Ely'"),
                ("identity.claims.none == null", "true"),
                ("'level' in identity.claims", "true"),
                ("has(identity.claims.level)", "true"),
                ("has(identity.claims.height)", "false"),
                ("size(identity.claims)", "6"),
                ("identity.claims.exists(c, c == 'score')", "true"),
                ("identity.claims == identity.claims", "true"),
            ],
        );
        let absent = eval_in("identity.claims.height", &exchange).unwrap_err();
        assert!(absent.contains("height"), "{absent}");
    }

    #[test]
    fn nobody_is_empty() {
        gives(&[
            ("identity.authenticated", "false"),
            ("identity.kind", "''"),
            ("identity.id + identity.name + identity.issuer", "''"),
            ("identity.email", "''"),
            ("identity.email_verified", "false"),
            ("identity.groups", "[]"),
            ("identity.claims", "{}"),
            ("has(identity.claims.department)", "false"),
        ]);
    }

    #[test]
    fn it_is_typed_and_there_from_the_request_on() {
        let wrong = |text| Expression::compile(text).unwrap_err().message;
        assert!(wrong("identity.email.x").contains("`identity.email` is string"));
        assert!(wrong("identity.mail").contains("did you mean `identity.email`"));
        assert!(wrong("identity").contains("name one of its fields"));
        assert!(wrong("identity.id > 3").contains("string"));
        with_phase(Phase::OnTcpConnect, || {
            assert!(wrong("identity.id").contains("is not there in on_tcp_connect"));
        });
        for phase in QSE {
            with_phase(*phase, || {
                assert!(Expression::compile("identity.id == ''").is_ok())
            });
        }
    }
}
