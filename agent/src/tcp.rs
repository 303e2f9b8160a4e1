//! TCP connections: a name, its addresses, one deadline.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};

/// The most that one address may use up while others are left to try: a machine whose IPv6 leads
/// nowhere should not spend the whole deadline on it.
const ONE_ADDRESS: Duration = Duration::from_secs(3);

/// Connects to the first address of `host` that answers; on failure, says what the first one said.
pub(crate) async fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + limit;
    let addresses = timeout_at(deadline, resolve(host, port))
        .await
        .map_err(|_| too_late("the name server did not answer"))??;
    let mut first_error = None;
    let mut left = addresses.len();
    for address in addresses {
        left -= 1;
        let patience = if left == 0 {
            deadline
        } else {
            deadline.min(Instant::now() + ONE_ADDRESS)
        };
        let error = match timeout_at(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => error,
            Err(_) => too_late("no answer"),
        };
        first_error.get_or_insert(error);
    }
    Err(first_error.unwrap_or_else(|| does_not_resolve(host)))
}

/// `localhost` is never asked from a name server, which may answer with anything.
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return Ok(vec![
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
            SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
        ]);
    }
    match lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(_) => Err(does_not_resolve(host)),
    }
}

fn does_not_resolve(host: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::HostUnreachable,
        format!("the name {host} does not resolve"),
    )
}

fn too_late(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::testing::nobody;

    #[tokio::test]
    async fn localhost_is_both_loopback_addresses_and_asks_nobody() {
        for name in ["localhost", "LOCALHOST", "localhost.", "app.localhost"] {
            let found = resolve(name, 80).await.unwrap();
            assert_eq!(
                found,
                ["127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap()]
            );
        }
    }

    #[tokio::test]
    async fn tells_refused_from_unresolved() {
        let second = Duration::from_secs(1);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        connect("localhost", listener.local_addr().unwrap().port(), second)
            .await
            .unwrap();
        let (_held, address) = nobody();
        let refused = connect("localhost", address.port(), second)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let nowhere = connect("no such host", 80, second).await.unwrap_err();
        assert_eq!(nowhere.kind(), io::ErrorKind::HostUnreachable);
    }
}
