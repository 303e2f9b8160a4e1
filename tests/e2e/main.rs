//! End-to-end tests: real gateways, agents, services and clients over sockets, one file for each subject.

// A test says what must be so; the harness is part of the tests, but not inside a `#[test]` function.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Not every subject that needs a part of it is written yet.
#[allow(dead_code, unused_imports)]
mod harness;

mod attacks_downgrade;
mod attacks_floods;
mod attacks_framing;
mod agent_auth;
mod agent_life;
mod attacks_headers;
mod attacks_agents;
mod attacks_tunnel;
mod screen;
mod sdk;
mod take_over;
mod attacks_routing;
mod attacks_slow;
mod attacks_upgrades;
mod http1;
mod isolation;
mod tunnel;
mod reuse;
mod http2;
mod sse;
mod websocket;
mod forwarded;
mod policy;
mod errors;
mod limits;
mod grpc;
mod bodies;
mod shutdown;
mod command;
mod command_http;
mod examples;
