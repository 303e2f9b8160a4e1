//! Any expression: it is refused at load, or has a value or an error within its budget.
#![no_main]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use adit_policy::Policy;
use adit_policy::canonical::Target;
use adit_policy::endpoint_url::{EndpointUrl, Scheme};
use adit_policy::env::Env;
use adit_policy::exchange::{Conn, Endpoint, Exchange, Request};
use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let policy = serde_json::json!({ "on_http_request": [{
        "expressions": [text],
        "actions": [{ "type": "deny" }],
    }] });
    let env = Env::system();
    let Ok(policy) = Policy::load("policy.json", &policy.to_string(), &env) else {
        return;
    };
    let now = env.clock().now();
    let (client, server) = (([192, 0, 2, 1], 50_000).into(), ([198, 51, 100, 1], 443).into());
    let conn = Conn::new(client, server, now);
    let url = EndpointUrl::parse("https://app.example.com").expect("an endpoint's URL");
    let endpoint = Endpoint { id: "app", url: &url };
    let lines = HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_static("a=b; c=d"))]);
    let target = Target::parse(b"/a/b?c=d&c=e").expect("a target");
    let mut exchange = Exchange::of(&conn, &endpoint, &env);
    exchange.request =
        Some(Request::new(Scheme::Https, &Method::GET, "app.example.com", target, &lines, now));
    let mut run = pin!(policy.on_http_request(&mut exchange));
    let polled = run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(_)), "an expression waits for nothing");
});
