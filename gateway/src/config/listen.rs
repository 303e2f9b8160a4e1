//! The `listen:` block.

use std::net::{Ipv6Addr, SocketAddr};

use serde::Deserialize;

use super::PortRange;

/// Addresses the gateway listens on. `[::]` takes IPv4 too. Port 0 takes any free one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// HTTPS traffic and agents, told apart by ALPN. Default `[::]:443`; `null` for none.
    pub https: Option<SocketAddr>,
    /// Plain HTTP traffic: `http://` endpoints, and redirects to `https://` ones.
    /// Default `[::]:80`; `null` for none.
    pub http: Option<SocketAddr>,
    /// Ports that agents may take for `tcp://` endpoints, like `20000-20999`, as far as their access lists let them. They
    /// lie at the same address as `https`, or as `http` if there is no `https`. None of them is open before somebody
    /// serves it. An endpoint of `endpoints:` may have any port, and that is open from the start. Default: none.
    pub tcp_ports: Option<PortRange>,
    /// The operator's own port: `GET /health` and `GET /metrics`, to anybody who can reach it, so give it an
    /// address that only the operator's machines can. On a loopback address it answers no other host names than
    /// `localhost`. Default: none.
    pub admin: Option<SocketAddr>,
    /// The admin API, for whoever has its token: see `docs/admin-api.md`. On a loopback address it answers no other host
    /// names than `localhost`. Default: none.
    pub api: Option<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        let any = |port| Some(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
        Self {
            https: any(443),
            http: any(80),
            tcp_ports: None,
            admin: None,
            api: None,
        }
    }
}
