//! TLS as clients of a gateway speak it: its own authority, any name, any protocol.

use std::{net::SocketAddr, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Public;

/// A client configuration that trusts this gateway and offers these protocols.
pub(crate) fn config(gateway: &impl Public, alpn: &[&str]) -> ClientConfig {
    trusting(gateway.ca_pem(), alpn)
}

/// Connects to the public port under a name.
pub(crate) async fn connect(
    gateway: &impl Public,
    sni: &str,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_to(gateway.https(), sni, gateway.ca_pem(), alpn).await
}

/// Connects to any server whose certificate, or whose authority's, is this.
pub(crate) async fn connect_to(
    server: SocketAddr,
    sni: &str,
    ca_pem: &Path,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(server).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(sni.to_owned()).unwrap();
    TlsConnector::from(Arc::new(trusting(ca_pem, alpn)))
        .connect(name, tcp)
        .await
}

fn trusting(ca_pem: &Path, alpn: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca_pem).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}
