//! What a client has to know of a gateway, wherever it runs.

use std::{net::SocketAddr, path::Path};

use super::{Deployed, Gateway};

/// A gateway's public side.
pub(crate) trait Public {
    /// Where https and agents are taken.
    fn https(&self) -> SocketAddr;
    /// Where plain http is taken.
    fn http(&self) -> SocketAddr;
    /// The authority's certificate.
    fn ca_pem(&self) -> &Path;

    /// The public URL with its port: `https://app.localhost/x` becomes `https://app.localhost:40123/x`.
    fn url(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").unwrap();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        if host.contains(':') {
            return url.to_owned();
        }
        let port = match scheme {
            "https" | "wss" => self.https().port(),
            _ => self.http().port(),
        };
        format!("{scheme}://{host}:{port}{path}")
    }
}

impl Public for Gateway {
    fn https(&self) -> SocketAddr {
        self.https()
    }

    fn http(&self) -> SocketAddr {
        self.http()
    }

    fn ca_pem(&self) -> &Path {
        self.ca_pem()
    }
}

impl Public for Deployed {
    fn https(&self) -> SocketAddr {
        self.https
    }

    fn http(&self) -> SocketAddr {
        self.http
    }

    fn ca_pem(&self) -> &Path {
        &self.ca_pem
    }
}
