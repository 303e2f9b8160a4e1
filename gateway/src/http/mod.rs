//! From a decrypted connection to an answered request.
//!
//! - [`proxy`]: Pingora's hooks, each a few lines; read it first
//! - [`route`]: which endpoint a request is for
//! - [`spelling`]: its canonical authority and target, put where everybody reads them
//! - [`greeting`]: what the policies say of its connection
//! - [`decide`]: what they say of it; [`forward`]: that another endpoint is to serve it
//! - [`request_phase`], [`response_phase`]: one policy's turn, and all policies'; [`judge`]: what comes of it
//! - [`adapt`]: a Pingora session as a policy's exchange, and edits back onto it
//! - [`forwarded`]: `X-Forwarded-*`, and who the client is
//! - [`cookies`]: whose they are
//! - [`request_body`], [`response_body`]: bodies that policies read and change
//! - [`upstream`]: a stream to an agent as a connection that Pingora can use; [`dial`]: what becomes of it
//! - [`retry`]: what becomes of a try that failed; [`tries`]: what an exchange has tried, and how long it may
//! - [`ended`]: exchanges that the gateway ends before their time; [`interruptible`], [`websocket`]: how they notice
//! - [`serving`]: Pingora's server, one after the other as limits change
//! - [`errors`]: pages for what goes wrong; [`answer`]: writing them
//! - [`mirror`]: copies of a request for other endpoints
//! - [`traceparent`]: the trace that a request is part of
//! - [`log`]: what happens when an exchange has ended; [`told`]: what can be told of it

mod adapt;
mod answer;
#[cfg(test)]
mod body_tests;
mod choice;
mod cookies;
mod decide;
mod dial;
mod ended;
mod error_forms;
mod errors;
mod exchange;
mod forward;
mod forwarded;
mod greeting;
mod interruptible;
mod judge;
mod log;
mod mirror;
mod proxy;
mod request_body;
mod request_phase;
mod response_body;
mod response_phase;
mod retry;
mod route;
mod serving;
mod spelling;
mod told;
mod traceparent;
mod tries;
mod upstream;
mod view;
mod websocket;

pub(crate) use forward::arriving;
pub(crate) use greeting::{Greetings, ask, closing, greet_named};
pub(crate) use log::shadow as log_shadow;
pub(crate) use serving::Serving;
pub(crate) use traceparent::TraceId;
