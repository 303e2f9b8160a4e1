//! Flags of an endpoint, whatever it carries.

use std::path::PathBuf;

use adit_agent::{EndpointOptions, HealthCheck, Upstream};
use clap::{ArgAction, Args};

use crate::{exit::Failure, policy_file, reload::Origin};

/// Flags that `adit http` and `adit tcp` share.
#[derive(Debug, Args)]
pub(crate) struct EndpointFlags {
    /// Let other agents serve the same URL, too
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true",
          hide_default_value = true, hide_possible_values = true)]
    pub(crate) pooling_enabled: bool,
    /// Share of the URL's traffic, beside other agents that serve it; 0 takes none
    #[arg(long, value_name = "N")]
    pub(crate) weight: Option<u32>,
    /// Take traffic only while no agent of a lower tier can
    #[arg(long, value_name = "N")]
    pub(crate) tier: Option<u32>,
    /// Take traffic only while the service is well: a PATH to GET, tcp, grpc or grpc:SERVICE
    #[arg(long, value_name = "CHECK")]
    pub(crate) health_check: Option<HealthCheck>,
    /// Name of the endpoint
    #[arg(long, default_value = "command_line")]
    pub(crate) name: String,
    /// A sentence about the endpoint, at most 255 bytes
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Your own data about the endpoint, at most 4096 bytes
    #[arg(long, value_name = "TEXT")]
    pub(crate) metadata: Option<String>,
    /// Rules that all traffic goes through before it reaches the service
    #[arg(long, value_name = "FILE", alias = "policy-file")]
    pub(crate) traffic_policy_file: Option<PathBuf>,
}

impl EndpointFlags {
    /// The endpoint that they describe, without a URL.
    pub(crate) fn options(&self, warnings: &mut Vec<String>) -> Result<EndpointOptions, Failure> {
        let mut options = EndpointOptions::new(&self.name).pooling_enabled(self.pooling_enabled);
        if let Some(file) = &self.traffic_policy_file {
            options = options.traffic_policy(policy_file::read(file, warnings)?);
        }
        if let Some(weight) = self.weight {
            options = options.weight(weight);
        }
        if let Some(tier) = self.tier {
            options = options.tier(tier);
        }
        if let Some(text) = &self.description {
            options = options.description(text);
        }
        if let Some(text) = &self.metadata {
            options = options.metadata(text);
        }
        Ok(options)
    }

    /// The upstream with the check that they wish for.
    pub(crate) fn checked(&self, upstream: Upstream) -> Upstream {
        match &self.health_check {
            Some(check) => upstream.health_check(check.clone()),
            None => upstream,
        }
    }

    /// Where the policy of an endpoint with these options was read, and is read again.
    pub(crate) fn into_origin(self, options: &EndpointOptions) -> Origin {
        Origin::File(Box::new(options.clone()), self.traffic_policy_file)
    }
}
