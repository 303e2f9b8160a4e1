//! Where an endpoint comes to stand: at the URL that was asked for, or at one with a random name.

use std::{sync::Arc, time::Duration};

use adit_policy::{
    canonical::Host,
    endpoint_url::{EndpointUrl, HostPattern, Scheme},
};
use adit_wire::message::{RefusalCode, Refused};
use tracing::warn;

use super::{Binds, not_allowed, refused};
use crate::{
    agents::names::{ATTEMPTS, Asker},
    pools::{endpoints::BindError, member::Member},
};

impl Binds {
    pub(super) fn bind_named(
        &self,
        url: EndpointUrl,
        endpoint: &str,
        member: &Arc<Member>,
    ) -> Result<EndpointUrl, Refused> {
        self.check(&url, endpoint)?;
        self.place(&url, member)?;
        Ok(url)
    }

    /// Whether the credential may serve a URL.
    pub(super) fn check(&self, url: &EndpointUrl, endpoint: &str) -> Result<(), Refused> {
        let asker = self.asker(endpoint);
        let own = matches!(&url.host, HostPattern::Exact(host) if self.edge.names.is_name_of(host, asker));
        if own || self.agent.entry.acl.allows(url) {
            return Ok(());
        }
        Err(not_allowed(url))
    }

    pub(super) fn bind_random(
        &self,
        scheme: Scheme,
        endpoint: &str,
        member: &Arc<Member>,
    ) -> Result<EndpointUrl, Refused> {
        for attempt in 0..ATTEMPTS {
            let Some(host) = self.edge.names.name(self.asker(endpoint), attempt) else {
                break;
            };
            let url = EndpointUrl {
                scheme,
                host: HostPattern::Exact(Host::clone(&host)),
                port: None,
            };
            match self.place(&url, member) {
                Err(Refused {
                    code: RefusalCode::Taken,
                    ..
                }) => {}
                Ok(()) => return Ok(url),
                Err(other) => return Err(other),
            }
        }
        Err(refused(
            RefusalCode::Taken,
            "no free random name was found, try again",
        ))
    }

    pub(super) fn place(&self, url: &EndpointUrl, member: &Arc<Member>) -> Result<(), Refused> {
        let stale_after = self.edge.heartbeat().interval() + Duration::from_secs(1);
        let displaced = self
            .edge
            .endpoints
            .bind(url, member, stale_after)
            .map_err(|error| match error {
                BindError::Taken { .. } => Refused {
                    code: RefusalCode::Taken,
                    reason: error.to_string(),
                    retryable: true,
                },
                BindError::Kind | BindError::Alone => refused(RefusalCode::Url, error),
            })?;
        for session in displaced {
            warn!(agent = %session.owner, session = session.id, %url, "a silent session was replaced");
            session.close();
        }
        Ok(())
    }

    pub(super) fn asker<'a>(&'a self, endpoint: &'a str) -> Asker<'a> {
        Asker {
            owner: &self.session.owner,
            agent_id: &self.session.agent_id,
            // The http twin of an https endpoint gets the same words.
            endpoint: endpoint.strip_suffix(" (http)").unwrap_or(endpoint),
        }
    }
}
