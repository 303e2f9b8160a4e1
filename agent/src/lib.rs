//! Adit's agent as a library: dial out to a gateway and serve endpoints from wherever you are.
//!
//! An [`Agent`] keeps itself connected. Endpoints are asked for by [`Agent::forward`], which sends
//! their streams to a service, or by [`Agent::listen`], which yields them to this program. Both
//! outlive the loss of a session: the agent comes back and asks for the same URLs.
//!
//! - [`AgentBuilder`]: settings, and whom to trust ([`ConnectCas`])
//! - [`EndpointOptions`]: what to ask for; [`Upstream`]: where it goes; [`HealthCheck`]: only while that is well
//! - [`Forwarder`], [`Listener`], [`Stream`]: what is held then
//! - [`Event`]: what happens, for logs and displays
//! - [`config`]: the file `adit.yaml`
//!
//! Inside, from top to bottom: `reconnect` lives through one `session` after the other; a session
//! has lanes (`lane`) to a `gateway`; each stream on a lane is answered by `forward`, which looks
//! up its `routes` entry, and `dial`s and `splice`s. `bindings` remembers the endpoints over all, and
//! what their `health` checks find.
//!
//! ```no_run
//! use adit_agent::{Agent, EndpointOptions, Upstream};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let agent = Agent::builder()
//!     .connect_url("example.com:443")
//!     .authtoken_from_env()
//!     .connect()
//!     .await?;
//! let web = agent.forward(EndpointOptions::new("web"), Upstream::parse("3000")?).await?;
//! println!("{} -> {}", web.url(), web.upstream());
//! web.done().await;
//! # Ok(()) }
//! ```

mod agent;
mod backoff;
mod bindings;
mod builder;
pub mod config;
mod dial;
mod endpoint;
mod event;
mod forward;
mod forwarder;
mod gateway;
mod health;
mod lane;
mod listener;
mod reconnect;
mod routes;
mod session;
mod stream;
mod tcp;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod upstream;

pub use adit_wire::message::{DialError, DialErrorKind, RefusalCode, Refused};
pub use agent::{Agent, BindError, End};
pub use builder::{AgentBuilder, ConnectError};
pub use dial::DialerError;
pub use endpoint::{EndpointOptions, OptionError, PoolPlace, Protocol, UpdateError};
pub use event::Event;
pub use forwarder::Forwarder;
pub use gateway::{ConnectUrl, ConnectUrlError};
pub use health::{HealthCheck, HealthCheckError};
pub use listener::Listener;
pub use stream::Stream;
pub use tls::{CasError, ConnectCas};
pub use upstream::{Upstream, UpstreamError};
