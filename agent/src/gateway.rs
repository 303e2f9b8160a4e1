//! The gateway as the agent sees it: where it is, how it is dialled and greeted.

use std::{fmt, io, str::FromStr, sync::Arc, time::Duration};

use adit_wire::{
    frame,
    limits::{ALPN, GREETING_DEADLINE, GREETING_FRAME, LANE_HINT, MAX_LANES},
    message::{Answer, Greeting, RefusalCode, Refused},
};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{event::printable_refusal, tcp, tls};

/// Host and port of a gateway: `example.com:443`, `example.com`, `[2001:db8::1]:8443`.
///
/// `https://` in front is taken off, because a gateway's agents come in by its https port and
/// people copy URLs. Any other scheme is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectUrl {
    host: String,
    port: u16,
}

/// Why a text is no [`ConnectUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a gateway's address: {hint}")]
pub struct ConnectUrlError {
    text: String,
    hint: &'static str,
}

/// A gateway that can be dialled.
#[derive(Debug)]
pub(crate) struct Gateway {
    url: ConnectUrl,
    name: ServerName<'static>,
    /// By lane: each offers its number by ALPN.
    tls: Vec<Arc<ClientConfig>>,
    connect_timeout: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unconnected {
    #[error(transparent)]
    Refused(Refused),
    #[error("{0}")]
    Network(String),
}

// === impl ConnectUrl ===

impl FromStr for ConnectUrl {
    type Err = ConnectUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |hint| ConnectUrlError {
            text: text.into(),
            hint,
        };
        let trimmed = text.trim();
        let rest = trimmed.strip_prefix("https://").unwrap_or(trimmed);
        if rest.contains("://") {
            return Err(error("write host:port without a scheme"));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed
                    .split_once(']')
                    .ok_or_else(|| error("the bracket is not closed"))?;
                if !after.is_empty() && !after.starts_with(':') {
                    return Err(error("after the bracket there can only be a port"));
                }
                (host, after.strip_prefix(':'))
            }
            None => match rest.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err(error("write an IPv6 address in brackets, [::1]:443"));
                }
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if host.is_empty() {
            return Err(error("write host:port, as in example.com:443"));
        }
        ServerName::try_from(host).map_err(|_| error("its host is no name or address"))?;
        let port = match port.map(str::parse) {
            None => 443,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return Err(error("its port is not a number from 1 to 65535")),
        };
        Ok(Self {
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for ConnectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

// === impl Gateway ===

impl Gateway {
    pub(crate) fn new(
        url: ConnectUrl,
        config: &ClientConfig,
        connect_timeout: Duration,
    ) -> Result<Self, ConnectUrlError> {
        let name = ServerName::try_from(url.host.clone()).map_err(|_| ConnectUrlError {
            text: url.to_string(),
            hint: "its host is no name or address",
        })?;
        let lane = |lane: u16| {
            let mut hint = LANE_HINT.to_vec();
            hint.extend_from_slice(lane.to_string().as_bytes());
            tls::offering(config, &[ALPN, &hint])
        };
        Ok(Self {
            url,
            name,
            tls: (0..MAX_LANES).map(lane).collect(),
            connect_timeout,
        })
    }

    /// Makes the connection of a lane up to the gateway's answer.
    pub(crate) async fn greet(
        &self,
        lane: u16,
        greeting: &Greeting,
    ) -> Result<(TlsStream<TcpStream>, Answer), Unconnected> {
        let mut io = match timeout(self.connect_timeout, self.dial(lane)).await {
            Ok(dialled) => dialled?,
            Err(_) => return Err(self.silent("did not answer", self.connect_timeout)),
        };
        let exchange = async {
            frame::write(&mut io, greeting, GREETING_FRAME).await?;
            frame::read::<Answer, _>(&mut io, GREETING_FRAME).await
        };
        match timeout(GREETING_DEADLINE, exchange).await {
            Ok(Ok(Answer::Refused(refused))) => {
                Err(Unconnected::Refused(printable_refusal(refused)))
            }
            Ok(Ok(answer)) => Ok((io, answer)),
            Ok(Err(error)) => Err(self.trouble("greeting", &error)),
            Err(_) => Err(self.silent("did not return the greeting", GREETING_DEADLINE)),
        }
    }

    async fn dial(&self, lane: u16) -> Result<TlsStream<TcpStream>, Unconnected> {
        let tcp = tcp::connect(&self.url.host, self.url.port, self.connect_timeout)
            .await
            .map_err(|error| self.trouble("connecting to", &error))?;
        let config = self.tls.get(usize::from(lane)).ok_or_else(|| {
            Unconnected::Network(format!("lane {lane} is more than {MAX_LANES} lanes"))
        })?;
        let io = TlsConnector::from(Arc::clone(config))
            .connect(self.name.clone(), tcp)
            .await
            .map_err(|error| self.tls_trouble(&error))?;
        if io.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(Unconnected::Network(format!(
                "{} is not an adit gateway",
                self.url
            )));
        }
        Ok(io)
    }

    fn tls_trouble(&self, error: &io::Error) -> Unconnected {
        use rustls::{AlertDescription, CertificateError, Error};
        let hint = match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>())
        {
            Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
                ": it is not an adit gateway, or serves no agents on this port"
            }
            Some(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => {
                ": if its certificate is from a private authority, name that one with connect_cas"
            }
            _ => "",
        };
        Unconnected::Network(format!("tls with {}: {error}{hint}", self.url))
    }

    fn trouble(&self, doing: &str, error: &impl fmt::Display) -> Unconnected {
        Unconnected::Network(format!("{doing} {}: {error}", self.url))
    }

    fn silent(&self, what: &str, limit: Duration) -> Unconnected {
        Unconnected::Network(format!("{} {what} within {limit:?}", self.url))
    }
}

/// An answer that has no place where it came: the gateway does not speak this protocol.
pub(crate) fn out_of_turn() -> Unconnected {
    Unconnected::Refused(Refused {
        code: RefusalCode::Protocol,
        reason: "the gateway gave an answer that was not asked for".into(),
        retryable: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_gateways_address() {
        for (written, means) in [
            ("example.com", "example.com:443"),
            ("example.com:8443", "example.com:8443"),
            ("https://example.com/", "example.com:443"),
            ("https://example.com:8443", "example.com:8443"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]", "[::1]:443"),
            ("[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ] {
            assert_eq!(written.parse::<ConnectUrl>().unwrap().to_string(), means);
        }
        for written in [
            "", ":443", "::1:443", "http://h", "h:0", "h:port", "[::1", "[::1]x", "a b", "h/p",
        ] {
            assert!(written.parse::<ConnectUrl>().is_err(), "{written}");
        }
    }
}
