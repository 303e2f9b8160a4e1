//! A client's connection, and the endpoint that it is for.

use std::net::SocketAddr;
use std::time::SystemTime;

use crate::endpoint_url::EndpointUrl;

/// The client's connection.
#[derive(Clone, Debug)]
pub struct Conn<'a> {
    /// Who asks: the client's own address, after trusted proxies were taken into account.
    pub client: SocketAddr,
    /// The address that accepted the connection.
    pub server: SocketAddr,
    /// The name of this gateway's location.
    pub region: &'a str,
    /// When the connection was accepted.
    pub started: SystemTime,
    /// Bytes that came from the client so far.
    pub bytes_in: u64,
    /// Bytes that went to the client so far.
    pub bytes_out: u64,
    /// What the TLS handshake said; `None` without TLS.
    pub tls: Option<Tls<'a>>,
}

/// What the TLS handshake of a client's connection said.
#[derive(Clone, Debug, Default)]
pub struct Tls<'a> {
    /// The host name of the ClientHello.
    pub sni: &'a str,
    /// The JA4 fingerprint of the ClientHello.
    pub ja4: &'a str,
    /// `1.2` or `1.3`.
    pub version: &'a str,
    /// The negotiated suite by its IANA name.
    pub cipher_suite: &'a str,
    /// The negotiated application protocol.
    pub alpn: &'a str,
    /// Whether an earlier session was taken up again.
    pub resumed: bool,
}

/// The endpoint that traffic arrives at.
#[derive(Clone, Debug)]
pub struct Endpoint<'a> {
    /// A name that stays the same while the endpoint lives.
    pub id: &'a str,
    /// Its URL; the host may be a pattern.
    pub url: &'a EndpointUrl,
}

// === impl Conn ===

impl Conn<'_> {
    /// A connection without TLS that has carried nothing yet.
    pub fn new(client: SocketAddr, server: SocketAddr, started: SystemTime) -> Self {
        Self {
            client,
            server,
            region: "default",
            started,
            bytes_in: 0,
            bytes_out: 0,
            tls: None,
        }
    }
}
