//! Adit's edge as a library: it accepts traffic, decides about it, and hands it to agents.
//!
//! A request falls through the modules from top to bottom:
//!
//! - `front`: accept, TLS (SNI and ALPN), certificates, and the gate before the HTTP parser
//! - `http`: the hooks of Pingora, routing, policy, error pages
//! - `tcp`: the same for endpoints without HTTP: ports, policies, bytes both ways
//! - `pools`: endpoints, their members, and streams to them
//! - `agents`: the other side: who may connect, and what they serve
//! - `live`: what runs, and is ended when its permission ends
//! - `fetch`: requests that policies send themselves
//!
//! Around them: [`config`] is `gateway.yaml`, `reload` lets policies follow their files, `admin` tells the operator
//! how it goes, `edge` is what all cores share, `core` one thread with its runtime, [`embedded`] a gateway inside
//! another process, [`token`] the agents' credentials, `keys` what seals cookies and signs assertions, `logins` who has
//! signed in, `work` what policies do beside the exchanges, `lent` all that policies are lent, `sockets` what is listened
//! on, `take_over` one gateway in the place of another, `awaited` what waits for agents then, `mirrors` what came of copies of requests.
//!
//! ```no_run
//! use std::{path::Path, time::Duration};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = adit_gateway::Config::load(Path::new("gateway.yaml"))?;
//! let gateway = adit_gateway::Gateway::start(config).await?;
//! println!("https on {:?}", gateway.https());
//! gateway.shutdown(Duration::from_secs(30)).await;
//! # Ok(()) }
//! ```

mod admin;
mod agents;
mod awaited;
mod beginning;
#[doc(hidden)]
pub mod bench;
pub mod config;
mod core;
mod counts;
mod data_dir;
mod edge;
pub mod embedded;
mod fetch;
mod front;
mod gateway;
mod http;
mod ids;
mod keys;
mod latency;
mod lent;
mod live;
mod log;
mod logins;
mod mirrors;
mod moment;
mod pools;
pub mod printable;
mod reload;
mod secrets;
mod sockets;
mod take_over;
mod tcp;
pub mod token;
mod traces;
mod work;

pub use admin::resources as api;
pub use beginning::{Beginning, StartError};
pub use config::{Config, ConfigError};
pub use embedded::{Embedded, EmbeddedOptions};
pub use front::tls::TlsError;
pub use gateway::Gateway;
pub use keys::KeysError;
pub use logins::LoginsError;
pub use reload::{ConfigErrors, ReloadError, Reloaded, Watch};
pub use sockets::passed::{SocketError, Sockets};
pub use take_over::{TakeOver, TakeOverError};
