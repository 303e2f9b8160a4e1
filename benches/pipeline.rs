//! What a policy costs one exchange: nanoseconds by criterion, allocations by a counting allocator.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot begin has nobody else to tell"
)]
#![allow(missing_docs, reason = "criterion's macros write what nobody reads")]

mod jwt;
mod session;

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::SystemTime;

use adit_policy::Policy;
use adit_policy::canonical::Target;
use adit_policy::endpoint_url::{EndpointUrl, Scheme};
use adit_policy::env::Env;
use adit_policy::exchange::{Conn, Endpoint, Exchange, Request};
use adit_policy::verdict::Verdict;
use allocation_counter::measure;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method};
use tokio::runtime::{Builder, Runtime};

/// Basic authentication, an address list, a rate limit, two header actions; three expressions.
const FIVE_AND_THREE: &str = r#"
on_http_request:
  - expressions:
      - "!req.url.path.startsWith('/public/')"
      - "req.method in ['GET', 'HEAD', 'POST']"
    actions:
      - type: basic-auth
        config: { credentials: ["ada:correct horse"] }
      - type: restrict-ips
        config: { allow: ["192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32"] }
      - type: rate-limit
        config:
          name: all
          algorithm: sliding_window
          capacity: 2000000000
          rate: 60s
          bucket_key: [conn.client_ip]
  - expressions: ["has(req.headers['user-agent'])"]
    actions:
      - type: remove-headers
        config: { headers: [x-internal] }
      - type: add-headers
        config: { headers: { x-edge: adit } }
"#;

/// An exchange's surroundings, which the gateway has for each of its connections.
struct World {
    env: Env,
    conn: Conn<'static>,
    url: EndpointUrl,
    lines: HeaderMap,
    runtime: Runtime,
}

impl World {
    fn new() -> Self {
        let env = Env::system();
        let now = env.clock().now();
        let client = SocketAddr::from(([192, 0, 2, 1], 50_000));
        let server = SocketAddr::from(([198, 51, 100, 1], 443));
        let lines = [
            ("host", "app.example.com"),
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            ),
            (
                "accept",
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            ),
            ("accept-language", "en-US,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("authorization", "Basic YWRhOmNvcnJlY3QgaG9yc2U="),
            ("cookie", "session=0123456789abcdef; theme=dark"),
        ];
        let lines = lines.into_iter().map(|(name, value)| {
            let name = name.parse().expect("a header name");
            (name, HeaderValue::from_static(value))
        });
        Self {
            env,
            conn: Conn::new(client, server, now),
            url: EndpointUrl::parse("https://app.example.com").expect("an endpoint's URL"),
            lines: lines.collect(),
            runtime: Builder::new_current_thread().build().expect("a runtime"),
        }
    }

    fn policy(&self, text: &str) -> Policy {
        Policy::load("policy.yaml", text, &self.env).expect("the policy is right")
    }

    /// One request through a policy; the verdict must be this one.
    fn run(&self, policy: &Policy, conn: &Conn<'_>, verdict: &str) {
        assert_eq!(self.verdict(policy, conn), verdict);
    }

    fn verdict(&self, policy: &Policy, conn: &Conn<'_>) -> &'static str {
        self.verdict_of(policy, conn, &self.lines)
    }

    fn verdict_of(&self, policy: &Policy, conn: &Conn<'_>, lines: &HeaderMap) -> &'static str {
        let endpoint = Endpoint {
            id: "ep_1",
            url: &self.url,
        };
        let mut exchange = Exchange::of(conn, &endpoint, &self.env);
        let target = Target::parse(b"/orders/17?full=1").expect("a target");
        exchange.request = Some(Request::new(
            Scheme::Https,
            &Method::GET,
            "app.example.com",
            target,
            lines,
            SystemTime::UNIX_EPOCH,
        ));
        let said: Verdict = self.runtime.block_on(policy.on_http_request(&mut exchange));
        black_box(said).name()
    }
}

fn hundred_rules() -> String {
    let mut text = "on_http_request:\n".to_owned();
    for rule in 0..100 {
        let path = if rule == 99 {
            "/orders/".to_owned()
        } else {
            format!("/area-{rule}/")
        };
        writeln!(
            text,
            "  - expressions: [\"req.url.path.startsWith('{path}')\"]\n    actions: [{{ type: deny }}]"
        )
        .expect("a text can be written to");
    }
    text
}

fn ten_thousand_ranges() -> String {
    let mut text = "on_http_request:\n  - actions:\n      - type: restrict-ips\n        config:\n          allow:\n            - 192.0.2.0/24\n".to_owned();
    for range in 0..10_000_u32 {
        let [_, a, b, c] = (range * 251 + 65_536).to_be_bytes();
        writeln!(text, "            - 10.{a}.{b}.{c}/32").expect("a text can be written to");
    }
    text
}

fn limit_by_address() -> &'static str {
    "on_http_request:
  - actions:
      - type: rate-limit
        config: { name: each, algorithm: sliding_window, capacity: 100, rate: 60s, bucket_key: [conn.client_ip] }
"
}

fn pipeline(criterion: &mut Criterion) {
    let world = World::new();
    let cases = [
        ("empty policy", Policy::default(), "continue"),
        (
            "5 actions and 3 expressions",
            world.policy(FIVE_AND_THREE),
            "continue",
        ),
        (
            "100 rules, the last one matches",
            world.policy(&hundred_rules()),
            "deny",
        ),
        (
            "restrict-ips with 10,000 ranges",
            world.policy(&ten_thousand_ranges()),
            "continue",
        ),
    ];
    for (name, policy, verdict) in &cases {
        let counted = measure(|| world.run(policy, &world.conn, verdict));
        println!(
            "{name}: {} allocations, {} bytes",
            counted.count_total, counted.bytes_total
        );
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| world.run(policy, &world.conn, verdict));
        });
    }
    let limited = world.policy(limit_by_address());
    let conns: Vec<Conn<'_>> = (0..1_000_000_u32)
        .map(|client| {
            let [a, b, c, d] = (client + (11 << 24)).to_be_bytes();
            let client = SocketAddr::from(([a, b, c, d], 50_000));
            Conn {
                client,
                ..world.conn.clone()
            }
        })
        .collect();
    for conn in &conns {
        world.run(&limited, conn, "continue");
    }
    let mut next = 0;
    criterion.bench_function("rate-limit with 1 M keys", |bencher| {
        bencher.iter(|| {
            // A step that shares no factor with their number visits the keys in no order that a cache likes.
            next = (next + 611_953) % conns.len();
            let endpoint = conns.get(next).expect("the index is within");
            let verdict = world.verdict(&limited, endpoint);
            black_box(verdict);
        });
    });
}

criterion_group!(benches, pipeline, jwt::bench, session::bench);
criterion_main!(benches);
