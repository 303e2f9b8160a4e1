//! From a TCP connection to a decrypted, counted and checked one.
//!
//! - [`accept`]: listeners, and how many connections anyone may have
//! - [`hello`]: what a TLS client wants, by SNI and ALPN; [`ja4`]: what it is, by the rest of its hello, which
//!   [`overheard`] keeps
//! - [`tls`]: certificates; [`certificate`]: one of them, from its files; [`validity`]: when it ends; [`local_ca`]: our
//!   own authority for development
//! - [`io`]: the form Pingora accepts; [`gate`] and [`head`]: what may pass to it; [`running`]: how
//!   much of it at once; [`traffic`]: how much of it went by; [`ending`]: no more of it;
//!   [`open`]: all that are open

pub(crate) mod accept;
mod certificate;
pub(crate) mod ending;
pub(crate) mod gate;
pub(crate) mod head;
pub(crate) mod hello;
pub(crate) mod io;
mod ja4;
pub(crate) mod local_ca;
pub(crate) mod open;
mod overheard;
pub(crate) mod running;
pub(crate) mod tls;
pub(crate) mod traffic;
mod validity;
