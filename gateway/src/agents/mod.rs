//! The agents' side of the gateway: who may connect, and what they may bind.
//!
//! - [`listener`]: greeting, lanes, the control stream
//! - [`binds`]: a session's endpoints, from asking to giving back
//! - [`credentials`]: who may connect; [`acl`]: which URLs a credential may serve
//! - [`names`]: random names that stay the same; [`ports`]: the port of a tcp endpoint
//! - [`registry`]: the sessions there are

mod acl;
mod binds;
mod credentials;
mod listener;
pub(crate) mod names;
mod ports;
pub(crate) mod registry;
mod texts;

pub(crate) use acl::Acl;
pub(crate) use credentials::Credentials;
pub(crate) use listener::serve;
