//! The traffic policies that an agent brings.

use std::sync::Arc;

use adit_policy::{
    LoadError, Policy,
    document::{Document, read_warned, scope},
    endpoint_url::{EndpointUrl, HostPattern, Scheme},
    env::Env,
};
use adit_wire::message::{EndpointSpec, RefusalCode, Refused};
use tracing::warn;

use super::{Binds, refused};
use crate::pools::member::AgentPolicy;

impl Binds {
    pub(super) fn policy(
        &self,
        (endpoint, url): (&str, &EndpointUrl),
        text: Option<&str>,
        counters: &str,
    ) -> Result<Option<AgentPolicy>, Refused> {
        let Some(text) = given(text) else {
            return Ok(None);
        };
        let file = format!("traffic policy of `{endpoint}`");
        let secrets = self.edge.vaults.of_agent(&self.session.owner);
        let env = self.edge.policy_env.for_endpoint(counters);
        let env = env.with_secrets(secrets);
        let policy = self.load(&file, text, url, &env);
        let policy = policy.map_err(|error| refused(RefusalCode::Policy, error))?;
        Ok(Some(AgentPolicy {
            policy: Arc::new(policy),
            text: Arc::from(text),
        }))
    }

    /// Under which name its policies find their counters.
    pub(super) fn counters(&self, spec: &EndpointSpec, asked: &EndpointUrl) -> String {
        match asked.host {
            HostPattern::Exact(_) | HostPattern::Wildcard(_)
                if asked.scheme != Scheme::Tcp || asked.port.is_some() =>
            {
                format!("agents {asked}")
            }
            // A random name or port is not chosen yet; the same agent gets the same one for the same endpoint again.
            _ => format!(
                "agent {} {} {}",
                self.session.owner, self.session.agent_id, spec.name
            ),
        }
    }

    fn load(
        &self,
        file: &str,
        text: &str,
        asked: &EndpointUrl,
        env: &Env,
    ) -> Result<Policy, LoadError> {
        let read = || read_warned::<Document>(file, text);
        let (document, warnings) = scope::with_secrets(Arc::clone(env.secrets()), read)?;
        document.check_for(asked.scheme, asked.is_internal())?;
        for warning in warnings {
            warn!(agent = %self.session.owner, "{warning}");
        }
        Ok(Policy::build(document, env)?)
    }
}

/// A text that says something.
pub(super) fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.trim().is_empty())
}
