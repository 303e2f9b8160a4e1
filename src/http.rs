//! `adit http`: one URL for one service.

use std::path::PathBuf;

use adit_agent::{Protocol, Upstream};
use clap::{ArgAction, Args, ValueEnum};

use crate::{
    cli::{SessionFlags, Shared},
    endpoint_flags::EndpointFlags,
    exit::Failure,
    serve::{Endpoint, Plan},
    settings::Settings,
};

/// Give an HTTP service a URL
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  adit http 3000                              localhost:3000 at a random name
  adit http 3000 --url app.example.com        at this name
  adit http 192.168.1.7:8080                  a service on another machine
  adit http https://localhost:8443 --upstream-tls-verify
  adit http unix:/run/app.sock
  adit http 3000 --traffic-policy-file policy.yaml
  adit http 50051 --upstream-protocol http2   gRPC
  adit http 3000 --url app.example.com --pooling-enabled --weight 5 --health-check /healthz

A change of the traffic policy's file is noticed and sent to the gateway, and without a terminal SIGHUP reads it
again, too. No connection is touched; with a mistake in the file the policy in use stays.

With no gateway configured (--connect-url, ADIT_CONNECT_URL, configuration file) a gateway of
this machine's own is started; its https URLs want its certificate trusted, its http URLs work
at once.")]
pub(crate) struct Http {
    /// Where the service listens: PORT, HOST:PORT, http:// or https:// URL, unix:/path
    #[arg(value_name = "ADDRESS")]
    pub(crate) upstream: String,
    /// The URL people will use; without one, a random name
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) endpoint: EndpointFlags,
    /// What the service speaks
    #[arg(
        long,
        value_name = "PROTOCOL",
        alias = "app-protocol",
        default_value = "http1"
    )]
    pub(crate) upstream_protocol: UpstreamProtocol,
    /// Verify the certificate of an https:// service
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true",
          hide_default_value = true, hide_possible_values = true)]
    pub(crate) upstream_tls_verify: bool,
    /// Verify it against these certificate authorities (PEM) instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) upstream_tls_verify_cas: Option<PathBuf>,
    /// What ngrok called --url before; still understood
    #[arg(
        long,
        alias = "hostname",
        value_name = "HOST",
        hide = true,
        conflicts_with = "url"
    )]
    pub(crate) domain: Option<String>,
    #[command(flatten)]
    pub(crate) session: SessionFlags,
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum UpstreamProtocol {
    /// HTTP/1.1 and WebSocket
    Http1,
    /// HTTP/2 without negotiation, as gRPC services do
    Http2,
}

impl Http {
    pub(crate) fn run(self, shared: &Shared) -> Result<(), Failure> {
        let mut settings = Settings::read(shared, &self.session)?;
        if self.domain.is_some() {
            settings
                .warnings
                .push("--domain and --hostname are called --url now".to_owned());
        }
        let endpoint = self.endpoint(&mut settings.warnings)?;
        let origin = self.endpoint.into_origin(&endpoint.options);
        let endpoints = vec![endpoint];
        Plan {
            settings,
            endpoints,
            origin,
        }
        .run()
    }

    fn endpoint(&self, warnings: &mut Vec<String>) -> Result<Endpoint, Failure> {
        let mut upstream = Upstream::parse(&self.upstream).map_err(Failure::mistake)?;
        if self.upstream_tls_verify {
            upstream = upstream.tls_verify(true);
        }
        if let Some(file) = &self.upstream_tls_verify_cas {
            upstream = upstream.tls_verify_cas(file.clone());
        }
        let upstream = self.endpoint.checked(upstream);
        let mut options = self
            .endpoint
            .options(warnings)?
            .protocol(match self.upstream_protocol {
                UpstreamProtocol::Http1 => Protocol::Http1,
                UpstreamProtocol::Http2 => Protocol::Http2,
            });
        let url = self.url.as_ref().or(self.domain.as_ref());
        if let Some(url) = url {
            options = options.url(url);
        }
        if options.wanted_url().starts_with("tcp://") {
            return Err(Failure::mistake(
                "`adit http` serves no tcp:// urls; for them there is `adit tcp`",
            ));
        }
        let upstream = upstream.for_url(options.wanted_url());
        let upstream = upstream.map_err(Failure::mistake)?;
        Ok(Endpoint {
            options,
            upstream,
            random: url.is_none(),
        })
    }
}
