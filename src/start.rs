//! `adit start`: the endpoints of the configuration file.

use adit_agent::config::EndpointConfig;
use clap::Args;

use crate::{
    cli::{SessionFlags, Shared},
    exit::Failure,
    reload::Origin,
    serve::{Endpoint, Plan},
    settings::{self, Settings},
};

/// Start endpoints of the configuration file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  adit start --all
  adit start web api
  adit start --all --config ./adit.yaml

  # adit.yaml
  version: 3
  agent: { connect_url: \"example.com:443\", authtoken: adit_2Qm… }
  endpoints:
    - { name: web, url: https://app.example.com, upstream: { url: 3000, health_check: /healthz } }

A change of a traffic policy, in the configuration or in a file it names, or of weight, tier or metadata is noticed
and sent to the gateway, and without a terminal SIGHUP reads them again, too. No connection is touched; with a mistake
in any of them everything stays as it is. Other settings are applied by a restart; the log names those that wait for
one.")]
pub(crate) struct Start {
    /// Names of endpoints
    #[arg(
        value_name = "NAME",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    names: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    session: SessionFlags,
}

impl Start {
    pub(crate) fn run(self, shared: &Shared) -> Result<(), Failure> {
        let mut settings = Settings::read(shared, &self.session)?;
        let known = std::mem::take(&mut settings.endpoints);
        let names: Vec<_> = known.iter().map(EndpointConfig::name).collect();
        if known.is_empty() {
            return Err(Failure::mistake(
                "the configuration has no endpoints: write one under `endpoints:`, or use adit http",
            ));
        }
        if let Some(unknown) = self
            .names
            .iter()
            .find(|name| !names.contains(&name.as_str()))
        {
            return Err(Failure::mistake(format_args!(
                "no endpoint called {unknown} in the configuration; there are: {}",
                names.join(", ")
            )));
        }
        let chosen =
            |entry: &EndpointConfig| self.all || self.names.iter().any(|n| n == entry.name());
        let endpoints = known
            .into_iter()
            .filter(chosen)
            .map(|entry| Endpoint {
                random: entry.options.wanted_url().is_empty(),
                options: entry.options,
                upstream: entry.upstream,
            })
            .collect();
        let names = (!self.all).then_some(self.names);
        let origin = Origin::Config(settings::files(shared), names);
        Plan {
            settings,
            endpoints,
            origin,
        }
        .run()
    }
}
