//! What is made of a secret is marked, whatever it is made with; what is not made of one never is.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::env::{Env, KnownSecrets};
use crate::exchange::Exchange;
use crate::expr::template::{Compiled, Template};
use crate::expr::{Expression, Value};
use crate::secret::Secret;
use crate::taint::{Taint, Taints};
use crate::testing::{ENV, request};

const KEY: &str = "swordfish-42";

fn env() -> Env {
    let mut secrets = KnownSecrets::default();
    secrets.insert("web", "key", Secret::new(KEY));
    secrets.insert("web", "pin", Secret::new("1234"));
    secrets.insert("web", "empty", Secret::new(""));
    secrets.insert("web", "names", Secret::new(r#"{"a": ["b"]}"#));
    ENV.clone().with_secrets(Arc::new(secrets))
}

/// An exchange in which a variable, a result and a header line came from secrets, beside others that did not.
fn exchange<'a>(env: &'a Env, lines: &'a HeaderMap) -> Exchange<'a> {
    let mut exchange = request(lines);
    exchange.env = env;
    exchange.memory.lend_secrets(Some(env.secrets()));
    let memory = &mut exchange.memory;
    for (name, value, taint) in [
        ("secret", Value::texts([KEY]), Taint::of("web", "key")),
        ("plain", Value::texts(["plain"]), Taint::None),
    ] {
        memory.set_var(&name.into(), value, taint).unwrap();
    }
    let left = Value::map([
        ("access_token", Value::text(KEY)),
        (
            "identity",
            Value::map([("email", Value::text("a@b.example"))]),
        ),
    ]);
    memory.set_marked_result("oidc", left, Taints::fields(&["access_token"]));
    let mut line = HeaderValue::from_static(KEY);
    memory.mark_line(&mut line, Taint::of("web", "key"));
    let head = &mut exchange.request.as_mut().unwrap().head;
    head.append("x-secret".parse().unwrap(), line).unwrap();
    exchange
}

fn lines() -> HeaderMap {
    HeaderMap::from_iter([
        (
            "x-plain".parse().unwrap(),
            HeaderValue::from_static("plain"),
        ),
        ("cookie".parse().unwrap(), HeaderValue::from_static("a=b")),
    ])
}

fn expression(text: &str) -> Expression {
    Expression::compile(text).unwrap_or_else(|wrong| panic!("{text}: {}", wrong.message))
}

#[test]
fn whatever_is_made_of_a_secret_is_marked() {
    let (env, lines) = (env(), lines());
    let exchange = exchange(&env, &lines);
    let key = "secrets.get('web', 'key')";
    for text in [
        key.to_owned(),
        format!("'Bearer ' + {key}"),
        format!("base64.encode({key})"),
        format!("base64.encode(bytes({key}))"),
        format!("{key}.upperAscii()"),
        format!("{key}.size()"),
        format!("{key} == 'x'"),
        format!("[{key}, 'x']"),
        format!("{{'a': {{'b': {key}}}}}"),
        format!("{{{key}: 1}}"),
        format!("{{'a': {key}}}.a"),
        format!("['a', 'b'].map(x, x + {key})"),
        format!("['a'].all(x, x != {key})"),
        format!("['b', 'a'].sortBy(x, x + {key})"),
        format!("['a', {key}][1]"),
        format!("'x' in [{key}]"),
        format!("req.method == 'GET' ? {key} : 'none'"),
        format!("{key} == 'x' ? 'yes' : 'no'"),
        format!("{key} == 'x' || req.method == 'GET'"),
        format!("{key}.matches('^s')"),
        "int(secrets.get('web', 'pin')) + 1".to_owned(),
        "bytes(secrets.get('web', 'pin'))".to_owned(),
        "secrets.get('web', req.headers['x-plain'][0] == 'plain' ? 'key' : 'pin')".to_owned(),
        "vars.secret".to_owned(),
        "vars.secret[0]".to_owned(),
        "vars.secret.map(x, x)".to_owned(),
        "actions.ngrok.oidc".to_owned(),
        "actions.ngrok.oidc.access_token".to_owned(),
        "actions.ngrok.oidc['access_token'].size()".to_owned(),
        "req.headers['x-secret']".to_owned(),
        "req.headers['X-Secret'][0]".to_owned(),
        "req.headers['x-' + 'secret'][0]".to_owned(),
        "req.headers[req.method == 'GET' ? 'x-secret' : 'x-plain'][0]".to_owned(),
        "getReqHeader('x-secret')".to_owned(),
        "req.headers".to_owned(),
        "req.headers.map(name, req.headers[name])".to_owned(),
    ] {
        let compiled = expression(&text);
        assert!(compiled.constant().is_none(), "{text} is known at load");
        let (_, taint) = compiled.marked(&exchange).unwrap();
        assert!(taint.is_secret(), "{text}");
    }
}

#[test]
fn what_has_nothing_to_do_with_it_is_not() {
    let (env, lines) = (env(), lines());
    let exchange = exchange(&env, &lines);
    for text in [
        "'plain'",
        "vars.plain[0]",
        "has(vars.secret)",
        "actions.ngrok.oidc.identity.email",
        "actions.ngrok.oidc.identity",
        "req.headers['x-plain'][0]",
        "req.headers['x-plain']",
        "'x-secret' in req.headers",
        "has(req.headers['x-secret'])",
        "hasReqHeader('x-secret')",
        "getReqHeader('x-plain')",
        "getReqCookie('a').value",
        "req.cookies['a'][0].value",
        "req.url",
        "req.user_agent",
        "req.method == 'GET' || secrets.get('web', 'key') == 'x'",
    ] {
        let (_, taint) = expression(text).marked(&exchange).unwrap();
        assert_eq!(taint, Taint::None, "{text}");
    }
}

#[test]
fn the_mark_has_the_name_of_the_only_secret() {
    let (env, lines) = (env(), lines());
    let exchange = exchange(&env, &lines);
    let mark = |text: &str| expression(text).marked(&exchange).unwrap().1.to_string();
    assert_eq!(mark("'a' + secrets.get('web', 'key')"), "[secret web/key]");
    assert_eq!(
        mark("secrets.get('web', 'key') + vars.secret[0]"),
        "[secret web/key]"
    );
    assert_eq!(
        mark("secrets.get('web', 'key') + secrets.get('web', 'pin')"),
        "[secret]"
    );
    assert_eq!(mark("req.headers['x-secret'][0]"), "[secret web/key]");
    assert_eq!(mark("actions.ngrok.oidc.access_token"), "[secret]");
}

#[test]
fn what_is_compared_with_a_secret_is_the_same_or_not() {
    let (env, lines) = (env(), lines());
    let exchange = exchange(&env, &lines);
    let holds = |text: &str| expression(text).holds(&exchange).unwrap();
    let key = "secrets.get('web', 'key')";
    for (other, is_same) in [
        ("'swordfish-42'", true),
        ("'swordfish-43'", false),
        ("'xwordfish-42'", false),
        ("'swordfish-4'", false),
        ("'swordfish-42 '", false),
        ("''", false),
        ("null", false),
        ("42", false),
        ("['swordfish-42']", false),
    ] {
        let bytes = other
            .starts_with('\'')
            .then(|| (format!("bytes({key}) == bytes({other})"), is_same));
        let texts = [
            (format!("{key} == dyn({other})"), is_same),
            (format!("dyn({other}) == {key}"), is_same),
            (format!("{key} != dyn({other})"), !is_same),
            (format!("{key} in [dyn('a'), {other}]"), is_same),
            (format!("dyn({other}) in ['a', {key}]"), is_same),
        ];
        for (text, expected) in texts.into_iter().chain(bytes) {
            assert_eq!(holds(&text), expected, "{text}");
        }
    }
}

#[test]
fn a_text_with_a_secret_in_it_is_marked_and_right() {
    let (env, lines) = (env(), lines());
    let exchange = exchange(&env, &lines);
    let text = "${req.method} ${secrets.get('web', 'key')} ${req.url.path}";
    let Compiled::Computed(template) = Template::compile(text).unwrap() else {
        panic!("it is known at load");
    };
    let (text, taint) = template.text(&exchange).unwrap();
    assert_eq!(
        (&*text, taint),
        ("GET swordfish-42 /", Taint::of("web", "key"))
    );
}

#[test]
fn a_secret_that_is_missing_or_empty_is_an_error_of_its_own() {
    let (env, lines) = (env(), lines());
    let exchange = exchange(&env, &lines);
    for (text, said) in [
        (
            "secrets.get('web', 'other')",
            "no secret `web/other` that this policy may read",
        ),
        (
            "secrets.get('other', 'key')",
            "no secret `other/key` that this policy may read",
        ),
        (
            "secrets.get('web', 'empty')",
            "no secret `web/empty` that this policy may read",
        ),
        (
            "secrets.get('web', 'a\\nb')",
            "no secret of this name that this policy may read",
        ),
        (
            "secrets.get('', '')",
            "no secret of this name that this policy may read",
        ),
        (
            "secrets.get('web', secrets.get('web', 'key'))",
            "no secret of this name that this policy may read",
        ),
    ] {
        let error = expression(text).value(&exchange).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.code(2254)),
            (said, 2238),
            "{text}"
        );
    }
}

#[test]
fn no_error_tells_what_a_secret_is() {
    let (env, lines) = (env(), lines());
    let exchange = exchange(&env, &lines);
    for text in [
        "req.headers[secrets.get('web', 'key')]",
        "{'a': 1}[secrets.get('web', 'key')]",
        "{secrets.get('web', 'key'): 1, vars.secret[0]: 2}",
        "int(secrets.get('web', 'key'))",
        "timestamp(secrets.get('web', 'key'))",
        "duration(vars.secret[0])",
        "'x'.matches(secrets.get('web', 'key') + '(')",
        "json.decode(actions.ngrok.oidc.access_token)",
        "vars[secrets.get('web', 'key')]",
    ] {
        let Ok(compiled) = Expression::compile(text) else {
            continue;
        };
        let error = compiled.value(&exchange).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("swordfish"),
            "{text}: {error}"
        );
        assert_eq!(
            error.to_string(),
            "it fails on what was made of a secret",
            "{text}"
        );
    }
}

#[test]
fn nothing_prints_it_for_debugging() {
    let (env, lines) = (env(), lines());
    let exchange = exchange(&env, &lines);
    let printed = format!("{exchange:?} {env:?}");
    assert!(!printed.contains("swordfish"), "{printed}");
    assert!(
        printed.contains("secret: String(\"[secret web/key]\")"),
        "{printed}"
    );
}
