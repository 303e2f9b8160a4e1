//! Adit's policy engine: rules that look at an exchange, change it, or answer it.
//!
//! A policy is read from YAML or JSON ([`document`]), built once ([`Policy::build`]) and run on every exchange of an
//! endpoint, in up to four phases: when a client connects, before the request goes to an agent, before the response goes to
//! the client, and on each message of an event stream. The engine
//! is pure: it owns no socket and no clock, and what it needs from outside is lent to it ([`mod@env`]). So the gateway, the
//! agent and the command line all run the very same rules.
//!
//! | module | what it holds |
//! |---|---|
//! | [`document`] | a policy as its text says it, and [`document::read`] for any typed document |
//! | [`exchange`] | what a policy sees, and the changes that it leaves behind |
//! | [`expr`] | expressions (CEL) and `${…}` in texts |
//! | [`memory`], [`trace`] | what a policy remembers of an exchange; what it did, rule by rule, if somebody asked |
//! | [`verdict`] | what a policy answers |
//! | [`action`] | the contract of an action |
//! | [`actions`] | the table of actions; one file each |
//! | [`mod@env`] | clock and randomness, lent |
//! | [`body`] | what rewrites bodies as they pass |
//! | [`ip_set`], [`limit`], [`breaker`] | what actions decide with: many address ranges, rate limits, a circuit breaker |
//! | [`identity`] | who sends a request, as an action has found out |
//! | `jose` | signed tokens, and the keys that providers publish |
//! | `login` | people who sign in at a provider |
//! | [`mirror`] | copies of requests for other endpoints, and whether two answers differ |
//! | [`page`] | what people see when the gateway answers by itself |
//! | [`password`] | hashes of passwords: read, compared, made |
//! | [`webhook`] | how providers sign what they send, and whether they did |
//! | [`canonical`] | the one spelling of a host, an authority and a request target |
//! | [`endpoint_url`] | the address of an endpoint |
//! | [`tools`] | checks, explanations and tests of policies |
//! | [`secret`], [`go_duration`], [`size`] | values that read themselves, for documents of every crate |
//!
//! ```
//! use adit_policy::canonical::Target;
//! use adit_policy::endpoint_url::{EndpointUrl, Scheme};
//! use adit_policy::env::Env;
//! use adit_policy::exchange::{Conn, Endpoint, Exchange, Request};
//! use adit_policy::verdict::Verdict;
//! use adit_policy::Policy;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = "
//! on_http_request:
//!   - expressions: [\"req.url.path.startsWith('/hello')\"]
//!     actions:
//!       - type: add-headers
//!         config: { headers: { x-edge: \"adit to ${conn.client_ip}\" } }
//!       - type: deny
//!         config: { status_code: 404 }
//! ";
//! let env = Env::system();
//! let policy = Policy::load("policy.yaml", text, &env)?;
//!
//! let now = env.clock().now();
//! let conn = Conn::new("192.0.2.1:50000".parse()?, "198.51.100.1:443".parse()?, now);
//! let url = EndpointUrl::parse("https://app.example.com")?;
//! let endpoint = Endpoint { id: "app", url: &url };
//! let headers = http::HeaderMap::new();
//! let target = Target::parse(b"/hello?a=1")?;
//! let mut exchange = Exchange::of(&conn, &endpoint, &env);
//! exchange.request =
//!     Some(Request::new(Scheme::Https, &http::Method::GET, "app.example.com", target, &headers, now));
//!
//! let Verdict::Deny { reply, by } = policy.on_http_request(&mut exchange).await else {
//!     return Err("the policy denies".into());
//! };
//! assert_eq!(reply.status(), 404);
//! assert_eq!(by.to_string(), "on_http_request[0].actions[1] (deny)");
//! let head = &exchange.request()?.head;
//! assert_eq!(head.lines()["x-edge"], "adit to 192.0.2.1");
//! assert_eq!(head.edits().len(), 1);
//! # Ok(())
//! # }
//! ```

pub mod action;
pub mod actions;
pub mod body;
pub mod breaker;
pub mod canonical;
mod config;
pub mod document;
pub mod endpoint_url;
mod engine;
pub mod env;
pub mod exchange;
pub mod expr;
mod fetch_url;
pub mod go_duration;
pub mod identity;
pub mod ip_set;
mod jose;
pub mod limit;
mod login;
pub mod memory;
pub mod mirror;
mod nearest;
pub mod page;
pub mod password;
pub mod secret;
pub mod size;
mod taint;
#[cfg(test)]
mod testing;
pub mod tools;
pub mod trace;
pub mod verdict;
pub mod webhook;

pub use engine::{BuildError, LoadError, Policy, RuleOutline};
pub use taint::Taint;
