//! End-to-end tests: real gateways, agents, services and clients over sockets, one file for each subject.

// A test says what must be so; the harness is part of the tests, but not inside a `#[test]` function.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

mod admin;
mod agent_auth;
mod agent_life;
mod attacks_agents;
mod attacks_cookies;
mod attacks_downgrade;
mod attacks_floods;
mod attacks_framing;
mod attacks_headers;
mod attacks_login;
mod attacks_paths;
mod attacks_policies;
mod attacks_routing;
mod attacks_slow;
mod attacks_tunnel;
mod attacks_upgrades;
mod bodies;
mod browser;
mod command;
mod command_http;
mod command_policy;
mod command_reload;
mod company_login;
mod errors;
mod errors_grpc;
mod examples;
mod examples_readmes;
mod expect;
mod forwarded;
mod grpc;
mod hash_password;
mod http1;
mod http2;
mod identity;
mod identity_jwt;
mod identity_providers;
mod isolation;
mod limits;
mod pages;
mod policy;
mod policy_bodies;
mod policy_connect;
mod policy_facts;
mod policy_fetch;
mod policy_forward;
mod policy_limits;
mod policy_requests;
mod policy_responses;
mod policy_update;
mod reload;
mod reuse;
mod revocation;
mod screen;
mod sdk;
mod secrets;
mod shutdown;
mod signing_in;
mod sse;
mod take_over;
mod tunnel;
mod websocket;
