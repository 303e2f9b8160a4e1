//! `tcp://` endpoints: bytes both ways between a port of this gateway, or a policy of it, and the agents of a pool.
//!
//! - [`mod@place`]: which URLs there are
//! - [`ports`]: a public one has a port, which is open while somebody serves it
//! - [`listen`]: who arrives there
//! - [`connection`]: one connection, from its first moment to the line that the log has of it
//! - [`route`]: the policies on its way, and the member at its end
//! - [`meter`]: how much it carries, and since when nothing
//! - [`counts`]: what is told of all of them; [`told`]: of each one

mod connection;
mod counts;
mod listen;
mod meter;
mod place;
mod ports;
mod route;
mod told;

pub(crate) use counts::TcpCounts;
pub(crate) use listen::accept;
pub(crate) use place::{declarable, place, with_host};
pub(crate) use ports::{Lease, Listening, Ports};
