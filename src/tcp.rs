//! `adit tcp`: a port of the gateway for one service.

use adit_agent::Upstream;
use clap::Args;

use crate::{
    cli::{SessionFlags, Shared},
    endpoint_flags::EndpointFlags,
    exit::Failure,
    serve::{Endpoint, Plan},
    settings::Settings,
};

/// Give a TCP service a port of the gateway
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  adit tcp 22                                 localhost:22 at any port of the gateway
  adit tcp 22 --url tcp://:20022              at this one
  adit tcp 192.168.1.7:5432                   a service on another machine
  adit tcp unix:/run/postgresql/.s.PGSQL.5432
  adit tcp 5432 --url tcp://db.internal:5432  for policies of the gateway only (forward-internal)
  adit tcp 22 --traffic-policy-file policy.yaml

Bytes pass as they come. A traffic policy decides in `on_tcp_connect` who may connect; there are no requests.

With no gateway configured (--connect-url, ADIT_CONNECT_URL, configuration file) a gateway of
this machine's own is started, with the ports 20000 to 20999 of localhost.")]
pub(crate) struct Tcp {
    /// Where the service listens: PORT, HOST:PORT, unix:/path
    #[arg(value_name = "ADDRESS")]
    pub(crate) upstream: String,
    /// The URL people will use, as tcp://:PORT; without one, any port
    #[arg(long, value_name = "URL", value_parser = url)]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) endpoint: EndpointFlags,
    /// What ngrok called --url before; still understood
    #[arg(long, value_name = "HOST:PORT", hide = true, conflicts_with = "url", value_parser = url)]
    pub(crate) remote_addr: Option<String>,
    #[command(flatten)]
    pub(crate) session: SessionFlags,
}

/// A port, or host and port, is short for a URL.
fn url(text: &str) -> Result<String, String> {
    let is_port = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once("://") {
        None if is_port => Ok(format!("tcp://:{text}")),
        None => Ok(format!("tcp://{text}")),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("tcp") => Ok(text.to_owned()),
        Some((scheme, _)) => Err(format!(
            "`adit tcp` serves tcp:// urls, not {scheme}://; for http and https there is `adit http`"
        )),
    }
}

impl Tcp {
    pub(crate) fn run(self, shared: &Shared) -> Result<(), Failure> {
        let mut settings = Settings::read(shared, &self.session)?;
        if self.remote_addr.is_some() {
            settings
                .warnings
                .push("--remote-addr is called --url now".to_owned());
        }
        let url = self.url.or(self.remote_addr);
        let url = url.unwrap_or_else(|| "tcp://".to_owned());
        let upstream = Upstream::parse(&self.upstream)
            .and_then(|upstream| upstream.for_url(&url))
            .map_err(Failure::mistake)?;
        let options = self.endpoint.options(&mut settings.warnings)?.url(url);
        let upstream = self.endpoint.checked(upstream);
        let origin = self.endpoint.into_origin(&options);
        Plan {
            settings,
            endpoints: vec![Endpoint {
                options,
                upstream,
                random: false,
            }],
            origin,
        }
        .run()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_of_a_url_are_understood_and_other_schemes_are_not() {
        for (text, means) in [
            ("20022", "tcp://:20022"),
            (":20022", "tcp://:20022"),
            ("example.com:20022", "tcp://example.com:20022"),
            ("tcp://:20022", "tcp://:20022"),
            ("TCP://db.internal:22", "TCP://db.internal:22"),
        ] {
            assert_eq!(url(text).as_deref(), Ok(means));
        }
        assert!(
            url("https://example.com")
                .unwrap_err()
                .contains("adit http")
        );
    }
}
