//! What a request costs whose cookie carries a session: the cookie is found, opened, read and looked up.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use adit_policy::Policy;
use adit_policy::canonical::Target;
use adit_policy::endpoint_url::Scheme;
use adit_policy::env::{Env, Fetch, FetchError, Fetched, ToFetch};
use adit_policy::exchange::{Endpoint, Exchange, Request};
use adit_policy::verdict::Verdict;
use allocation_counter::measure;
use async_trait::async_trait;
use criterion::Criterion;
use http::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::json;

use super::World;

const POLICY: &str = "
on_http_request:
  - actions:
      - type: oauth
        config:
          provider: custom
          client_id: edge
          client_secret: sesame
          authorization_url: https://id.example/authorize
          token_url: https://id.example/token
          userinfo_url: https://id.example/userinfo
";

/// A provider whose every answer holds the tokens, and says who somebody is.
#[derive(Debug)]
struct Provider;

#[async_trait]
impl Fetch for Provider {
    async fn fetch(&self, _: ToFetch) -> Result<Fetched, FetchError> {
        let body = json!({
            "access_token": "a".repeat(40), "refresh_token": "r".repeat(80), "token_type": "bearer",
            "sub": "00u1a2b3c4d5e6f7g8h9", "name": "Ada Lovelace", "email": "ada@corp.example", "email_verified": true,
            "groups": ["engineering", "on-call", "everyone"], "locale": "en", "zoneinfo": "Europe/London",
        });
        Ok(Fetched {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: body.to_string().into(),
            resolved: None,
            took: Duration::ZERO,
        })
    }

    async fn pause(&self, _: Duration) {}
}

/// What the policy answers a browser with these lines.
fn answer(
    world: &World,
    policy: &Policy,
    target: &str,
    lines: &HeaderMap,
) -> Response<bytes::Bytes> {
    let endpoint = Endpoint {
        id: "ep_1",
        url: &world.url,
    };
    let mut exchange = Exchange::of(&world.conn, &endpoint, &world.env);
    let target = Target::parse(target.as_bytes()).expect("a target");
    let (get, now) = (Method::GET, SystemTime::UNIX_EPOCH);
    exchange.request = Some(Request::new(
        Scheme::Https,
        &get,
        "app.example.com",
        target,
        lines,
        now,
    ));
    match world
        .runtime
        .block_on(policy.on_http_request(&mut exchange))
    {
        Verdict::Deny { reply, .. } => reply,
        other => unreachable!("{other:?}"),
    }
}

fn cookies(reply: &Response<bytes::Bytes>) -> HeaderMap {
    let lines = reply.headers().get_all(SET_COOKIE).iter();
    let pairs = lines.filter_map(|line| line.to_str().ok()?.split(';').next());
    let pairs: Vec<_> = pairs.filter(|pair| !pair.ends_with('=')).collect();
    with(COOKIE, &pairs.join("; "))
}

fn with(name: HeaderName, value: &str) -> HeaderMap {
    let value = HeaderValue::from_str(value).expect("a header value");
    HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("text/html")),
        (name, value),
    ])
}

/// The lines of a request of somebody who has signed in.
fn signed_in(world: &World, policy: &Policy) -> HeaderMap {
    let sent = answer(world, policy, "/", &with(ACCEPT, "text/html"));
    let url = sent.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    let (_, state) = url
        .and_then(|url| url.split_once("state="))
        .expect("a state");
    let state = state.split('&').next().unwrap_or_default();
    let callback = format!("/adit/oauth2/callback?code=a&state={state}");
    let back = answer(world, policy, &callback, &cookies(&sent));
    assert_eq!(back.status(), 302, "{back:?}");
    cookies(&back)
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let env = Env::system().with_fetch(Arc::new(Provider));
    let world = World {
        env,
        ..World::new()
    };
    let policy = world.policy(POLICY);
    let lines = signed_in(&world, &policy);
    let run = || {
        let said = world.verdict_of(&policy, &world.conn, &lines);
        assert_eq!(black_box(said), "continue");
    };
    let name = "oauth, a session in its cookie";
    let counted = measure(run);
    println!(
        "{name}: {} allocations, {} bytes",
        counted.count_total, counted.bytes_total
    );
    criterion.bench_function(name, |bencher| bencher.iter(run));
}
