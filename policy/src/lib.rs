//! Adit's policy engine: rules that look at an exchange, change it, or answer it.
//!
//! A policy is read from YAML or JSON ([`document`]), built once ([`Policy::build`]) and run on every exchange of an
//! endpoint, in two phases: before the request goes to an agent and before the response goes to the client. The engine
//! is pure: it owns no socket and no clock, and what it needs from outside is lent to it ([`mod@env`]). So the gateway, the
//! agent and the command line all run the very same rules.
//!
//! | module | what it holds |
//! |---|---|
//! | [`document`] | a policy as its text says it, and [`document::read`] for any typed document |
//! | [`exchange`] | what a policy sees, and the header edits that it leaves behind |
//! | [`verdict`] | what a policy answers |
//! | [`action`] | the contract of an action |
//! | [`actions`] | the table of actions; one file each |
//! | [`mod@env`] | clock and randomness, lent |
//! | [`body`] | what rewrites bodies as they pass |
//! | [`ip_set`], [`limit`], [`breaker`] | what actions decide with: many address ranges, rate limits, a circuit breaker |
//! | [`webhook`] | how providers sign what they send, and whether they did |
//! | [`canonical`] | the one spelling of a host, an authority and a request target |
//! | [`endpoint_url`] | the address of an endpoint |
//! | [`secret`], [`go_duration`], [`size`] | values that read themselves, for documents of every crate |
//!
//! ```
//! use adit_policy::canonical::Target;
//! use adit_policy::endpoint_url::Scheme;
//! use adit_policy::env::Env;
//! use adit_policy::exchange::{Exchange, Head};
//! use adit_policy::verdict::Verdict;
//! use adit_policy::Policy;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = "
//! on_http_request:
//!   - actions:
//!       - type: add-headers
//!         config: { headers: { x-edge: adit } }
//!       - type: deny
//!         config: { status_code: 404 }
//! ";
//! let policy = Policy::load("policy.yaml", text, &Env::system())?;
//!
//! let headers = http::HeaderMap::new();
//! let mut exchange = Exchange {
//!     client: "192.0.2.1:50000".parse()?,
//!     scheme: Scheme::Https,
//!     method: &http::Method::GET,
//!     host: "app.example.com",
//!     target: Target::parse(b"/hello?a=1")?,
//!     request: Head::of(&headers),
//!     response: None,
//! };
//! let Verdict::Reply { reply, by, .. } = policy.on_http_request(&mut exchange).await else {
//!     return Err("the policy answers".into());
//! };
//! assert_eq!(reply.status(), 404);
//! assert_eq!(by.to_string(), "on_http_request[0].actions[1] (deny)");
//! assert_eq!(exchange.request.lines()["x-edge"], "adit");
//! assert_eq!(exchange.request.edits().len(), 1);
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
pub mod go_duration;
pub mod ip_set;
pub mod limit;
mod nearest;
pub mod secret;
pub mod size;
#[cfg(test)]
mod testing;
pub mod verdict;
pub mod webhook;

pub use engine::{BuildError, LoadError, Policy};
