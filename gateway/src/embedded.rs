//! A gateway inside another process, for people who have none: local certificates, one token.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use adit_policy::canonical::Host;
use rustls::pki_types::CertificateDer;

use crate::{
    Config, Gateway, StartError, TlsError,
    agents::Acl,
    config::{AgentEntry, Api, Fetch, Limits, Listen, Log, Tls, Traces, Vault},
    token::{self, TokenHash},
};

/// The domain under which everything lies; browsers and resolvers lead it to this machine.
const DOMAIN: &str = "localhost";

/// Ports for tcp endpoints. One that another program has is passed over.
const TCP: RangeInclusive<u16> = 20_000..=20_999;

/// How many ports above the wanted one are tried.
const TRIES: u16 = 20;

/// Where an embedded gateway lives and listens.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Where its certificate authority is kept.
    pub data_dir: PathBuf,
    /// Wanted port for https; the next free one is taken if it is not. 0 for any.
    pub https: u16,
    /// The same for http.
    pub http: u16,
}

/// A running embedded gateway.
pub struct Embedded {
    gateway: Gateway,
    authtoken: String,
    ca_file: PathBuf,
    ca_certificate: CertificateDer<'static>,
    moved: bool,
}

// === impl Embedded ===

impl Embedded {
    /// Starts one on 127.0.0.1.
    ///
    /// # Errors
    /// When no port is free or the data directory cannot be used.
    pub async fn start(options: EmbeddedOptions) -> Result<Self, StartError> {
        let (authtoken, token_hash) = token::generate();
        let mut tries = 0;
        let (https, http, gateway) = loop {
            let https = free_port(options.https)?;
            let http = free_port(options.http)?;
            let config = config(&options, (https, http), token_hash.clone())?;
            match Gateway::start(config).await {
                // Somebody was quicker: another one that was started at the same moment, mostly.
                Err(StartError::Listen { source, .. })
                    if source.kind() == io::ErrorKind::AddrInUse && tries < TRIES =>
                {
                    tries += 1;
                }
                started => break (https, http, started?),
            }
        };
        let (ca_file, ca_certificate) = gateway
            .local_ca()
            .map(|(file, certificate)| (file.to_owned(), certificate))
            .ok_or(TlsError::Nothing)?;
        let moved = (options.https != 0 && https != options.https)
            || (options.http != 0 && http != options.http);
        Ok(Self {
            gateway,
            authtoken,
            ca_file,
            ca_certificate,
            moved,
        })
    }

    /// The gateway itself.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The token that its agent must show. It lives as long as the process.
    #[must_use]
    pub fn authtoken(&self) -> &str {
        &self.authtoken
    }

    /// Where the certificate authority's certificate lies.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The same certificate, for the agent in this process.
    #[must_use]
    pub fn ca_certificate(&self) -> CertificateDer<'static> {
        self.ca_certificate.clone()
    }

    /// Where the agent connects to.
    #[must_use]
    pub fn connect_url(&self) -> String {
        format!(
            "{DOMAIN}:{}",
            self.gateway.https().map_or(0, |address| address.port())
        )
    }

    /// Whether a wanted port was taken and another one is used.
    #[must_use]
    pub fn moved_ports(&self) -> bool {
        self.moved
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("gateway", &self.gateway)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

fn config(
    options: &EmbeddedOptions,
    (https, http): (u16, u16),
    token_hash: TokenHash,
) -> Result<Config, StartError> {
    // Who runs it wrote its policies, too, and knows the environment.
    let environment = Vault::of_environment();
    let local = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    Ok(Config {
        domain: Host::parse(DOMAIN).map_err(|error| TlsError::LocalCa(error.to_string()))?,
        region: "default".into(),
        listen: Listen {
            https: local(https),
            http: local(http),
            tcp_ports: Some(TCP.into()),
            admin: None,
            api: None,
        },
        data_dir: options.data_dir.clone(),
        tls: Tls {
            certificates: Vec::new(),
            local_ca: true,
        },
        trusted_proxies: Vec::new(),
        agents: vec![AgentEntry {
            name: "embedded".into(),
            token_hash,
            acl: Acl::everything(),
            secrets: vec![environment.name.clone()],
        }],
        secrets: vec![environment],
        endpoints: Vec::new(),
        // Who runs this gateway wrote its policies, too, and may try a provider on the same machine.
        fetch: Fetch {
            loopback_providers: true,
            ..Fetch::default()
        },
        limits: Limits::default(),
        api: Api::default(),
        log: Log::default(),
        traces: Traces::default(),
        origin: None,
        warnings: Vec::new(),
    })
}

/// The first port that nobody listens on. SO_REUSEPORT would let us share one with another gateway of
/// the same user and take half of its traffic, so the question is asked without it.
fn free_port(wanted: u16) -> Result<u16, StartError> {
    if wanted == 0 {
        return Ok(0);
    }
    let mut last = None;
    for port in (wanted..).take(usize::from(TRIES) + 1) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match std::net::TcpListener::bind(address) {
            Ok(_) => return Ok(port),
            Err(source) => last = Some(StartError::Listen { address, source }),
        }
    }
    Err(last.unwrap_or(StartError::NoListener))
}
