//! Who serves which URL.
//!
//! - [`routes`]: from a host to its endpoint, in one snapshot made of [`parted`] maps; [`endpoints`]: what changes it
//! - [`pool`]: from an endpoint to one of its members: [`balance`] chooses it from a [`roster`] by its [`weights`]
//! - [`member`]: one session's share of an endpoint, with its idle streams and what is in [`flight`]
//! - [`health`]: whether a member is fit to serve; [`budget`]: how many retries there may be; [`returns`]: agents that flap
//! - [`session`]: one connected agent and its lanes; [`tally`]: what members have counted, kept when they go

mod balance;
pub(crate) mod budget;
pub(crate) mod endpoints;
pub(crate) mod flight;
pub(crate) mod health;
mod idle;
pub(crate) mod member;
mod parted;
pub(crate) mod pool;
mod returns;
mod roster;
pub(crate) mod routes;
pub(crate) mod session;
#[cfg(test)]
mod simulation;
pub(crate) mod tally;
#[cfg(test)]
mod testing;
mod weights;
