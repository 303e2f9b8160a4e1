//! Where a gateway's admin API is, and the token for it.

use std::{
    env, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use adit_gateway::{Config, api::TOKEN_FILE};
use adit_policy::secret::Secret;

use crate::exit::Failure;

/// An admin API and its token.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// `host:port`.
    pub(super) address: String,
    pub(super) token: Secret,
}

const TOKEN: &str = "ADIT_API_TOKEN";

impl Access {
    /// From what was typed, else from the gateway's configuration and the file that the gateway keeps for its own user.
    pub(super) fn find(
        file: Option<&Path>,
        url: Option<&str>,
        token: Option<Secret>,
    ) -> Result<Self, Failure> {
        let from_environment = || env::var(TOKEN).ok().filter(|token| !token.is_empty());
        let given = token.or_else(|| from_environment().map(Secret::new));
        let config = file
            .map(Config::load)
            .transpose()
            .map_err(Failure::mistake)?;
        let address = match (url, &config) {
            (Some(url), _) => address(url)?,
            (None, Some(config)) => listening(config)?,
            (None, None) => {
                return Err(Failure::mistake(
                    "which gateway? adit gateway status --config gateway.yaml, or --api-url http://127.0.0.1:9181 with \
                     its token in ADIT_API_TOKEN",
                ));
            }
        };
        let token = match (given, &config) {
            (Some(token), _) => token,
            (None, Some(config)) => kept(config)?,
            (None, None) => {
                return Err(Failure::mistake(
                    "the admin API needs a token: set ADIT_API_TOKEN to the one in data_dir/api.token on the gateway's \
                     machine, or to one from `adit gateway token --api`",
                ));
            }
        };
        Ok(Self { address, token })
    }
}

fn listening(config: &Config) -> Result<String, Failure> {
    let Some(address) = config.listen.api else {
        return Err(Failure::mistake(
            "this gateway.yaml has no admin API; add these lines and restart the gateway:\n\n  \
             listen:\n    api: \"127.0.0.1:9181\"\n",
        ));
    };
    if address.port() == 0 {
        return Err(Failure::mistake(
            "listen.api takes any free port, which the gateway's log tells; give it with --api-url",
        ));
    }
    // Whoever listens everywhere listens here, too.
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, address.port()).to_string())
}

/// The token that the gateway has made at its start.
fn kept(config: &Config) -> Result<Secret, Failure> {
    let file = config.data_dir.join(TOKEN_FILE);
    match fs::read_to_string(&file) {
        Ok(token) => Ok(Secret::new(token.trim())),
        Err(error) => Err(Failure::mistake(format_args!(
            "cannot read the token in {}: {error}; run this as the gateway's own user while it runs, or set {TOKEN}",
            file.display()
        ))),
    }
}

fn address(url: &str) -> Result<String, Failure> {
    if url.starts_with("https://") {
        return Err(Failure::mistake(
            "the admin API speaks plain http; from elsewhere reach it through `ssh -L 9181:127.0.0.1:9181 …`",
        ));
    }
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let address = rest.trim_end_matches('/');
    let port = address.rsplit_once(':').and_then(|(host, port)| {
        let port: u16 = port.parse().ok()?;
        (!host.is_empty() && port > 0).then_some(port)
    });
    match port {
        Some(_) if !address.contains(['/', '@', ' ']) => Ok(address.to_owned()),
        _ => Err(Failure::mistake(format_args!(
            "--api-url {url}: write http://127.0.0.1:9181"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for url in [
            "http://127.0.0.1:9181",
            "http://127.0.0.1:9181/",
            "127.0.0.1:9181",
        ] {
            assert_eq!(address(url).unwrap(), "127.0.0.1:9181");
        }
        assert_eq!(address("http://[::1]:9181").unwrap(), "[::1]:9181");
        for url in [
            "",
            "https://a:1",
            "http://a",
            "http://a:0",
            "http://a:1/b",
            "http://:9181",
        ] {
            assert!(address(url).is_err(), "{url}");
        }
    }
}
