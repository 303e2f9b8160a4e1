//! Who serves which URL.
//!
//! - [`routes`]: from a host to its endpoint, in one snapshot; [`endpoints`]: what changes it
//! - [`pool`]: from an endpoint to one of its members
//! - [`member`]: one session's share of an endpoint, with its idle streams
//! - [`session`]: one connected agent and its lanes

pub(crate) mod endpoints;
mod idle;
pub(crate) mod member;
pub(crate) mod pool;
pub(crate) mod routes;
pub(crate) mod session;
