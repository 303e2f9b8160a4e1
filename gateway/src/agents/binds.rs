//! A session's endpoints: asked for, checked, served, given back.

mod places;
mod policies;

use std::{collections::HashMap, sync::Arc, time::Duration};

use adit_policy::endpoint_url::{EndpointUrl, HostPattern, Scheme};
use adit_wire::message::{AgentMessage, EndpointSpec, GatewayMessage, RefusalCode, Refused};
use tokio::{sync::mpsc, time::interval};
use tracing::info;

use self::policies::given;
use super::{
    credentials::Credential,
    ports,
    texts::{METADATA, REASON, check_texts},
};
use crate::{
    edge::Edge,
    live::Why,
    pools::{
        member::{Member, MemberSpec, Place},
        session::Session,
    },
    tcp::Lease,
};

/// How often idle streams are looked through.
const SWEEP: Duration = Duration::from_secs(15);

/// The endpoints of one session.
pub(super) struct Binds {
    edge: Arc<Edge>,
    session: Arc<Session>,
    agent: Credential,
    held: HashMap<u64, Held>,
}

/// An endpoint that the session serves.
struct Held {
    url: EndpointUrl,
    member: Arc<Member>,
    /// The endpoint's name in the agent's configuration.
    name: String,
    /// Under which its policies find their counters.
    counters: String,
    /// Keeps its port open, if it has one of its own.
    _port: Option<Lease>,
}

// === impl Binds ===

impl Binds {
    pub(super) fn new(edge: Arc<Edge>, session: Arc<Session>, agent: Credential) -> Self {
        Self {
            edge,
            session,
            agent,
            held: HashMap::new(),
        }
    }

    /// Does what the agent asks until it has no more to say, or its credential is one no more; then the answer is why.
    pub(super) async fn run(
        &mut self,
        heard: &mut mpsc::Receiver<AgentMessage>,
    ) -> Option<Refused> {
        let mut sweep = interval(SWEEP);
        loop {
            tokio::select! {
                message = heard.recv() => match message {
                    Some(message) => self.hear(message).await,
                    None => return None,
                },
                changed = self.agent.changed() => match changed {
                    Ok(()) => self.narrow().await,
                    Err(refused) => {
                        self.revoke();
                        return Some(refused);
                    }
                },
                () = self.session.expelled.notified() => self.expelled().await,
                _ = sweep.tick() => self.held.values().for_each(|held| held.member.sweep()),
            }
        }
    }

    /// Gives everything back. `lost` if the agent did not say that it was going.
    pub(super) fn end(&mut self, lost: bool) {
        for (id, Held { url, member, .. }) in self.held.drain() {
            member.retire();
            self.edge.endpoints.unbind(&url, id, lost);
        }
    }

    /// Takes away what the access list does not allow any more.
    async fn narrow(&mut self) {
        let allowed = |held: &Held| self.check(&held.url, &held.name);
        let lost: Vec<_> = self
            .held
            .iter()
            .filter_map(|(id, held)| Some((*id, allowed(held).err()?)))
            .collect();
        for (endpoint, refused) in lost {
            if let Some(Held { url, member, .. }) = self.held.remove(&endpoint) {
                self.edge.endpoints.unbind(&url, endpoint, false);
                member.withdraw(Why::UrlWithdrawn);
                info!(agent = %self.session.owner, %url, "endpoint taken away");
                let message = GatewayMessage::Unbound { endpoint, refused };
                self.session.tell(message).await;
            }
        }
        self.edge.review();
    }

    /// Tells the agent of endpoints that it may not share any longer. It asks again from time to time.
    async fn expelled(&mut self) {
        let held = self.held.extract_if(|_, held| held.member.is_retired());
        let expelled: Vec<_> = held.collect();
        for (endpoint, held) in expelled {
            info!(agent = %self.session.owner, url = %held.url, "endpoint taken away");
            let refused = Refused {
                code: RefusalCode::Taken,
                reason: format!(
                    "{} is not declared in gateway.yaml any more, and another agent serves it; if both should, both \
                     need pooling_enabled (ERR_ADIT_334)",
                    held.url
                ),
                retryable: true,
            };
            let message = GatewayMessage::Unbound { endpoint, refused };
            self.session.tell(message).await;
        }
    }

    /// Takes everything away.
    fn revoke(&mut self) {
        for (id, Held { url, member, .. }) in self.held.drain() {
            self.edge.endpoints.unbind(&url, id, false);
            member.withdraw(Why::TokenRevoked);
        }
        self.edge.review();
    }

    async fn hear(&mut self, message: AgentMessage) {
        match message {
            AgentMessage::Bind { request, endpoint } => {
                let answer = match self.bind(*endpoint) {
                    Ok((endpoint, url)) => GatewayMessage::Bound {
                        request,
                        endpoint,
                        url,
                    },
                    Err(refused) => {
                        info!(agent = %self.session.owner, reason = %refused, "endpoint refused");
                        GatewayMessage::BindRefused { request, refused }
                    }
                };
                self.session.tell(answer).await;
            }
            AgentMessage::Update {
                request,
                endpoint,
                traffic_policy,
            } => {
                let answer = match self.update(endpoint, traffic_policy.as_deref()) {
                    Ok(()) => GatewayMessage::Updated { request },
                    Err(refused) => {
                        info!(agent = %self.session.owner, reason = %refused, "traffic policy refused");
                        GatewayMessage::UpdateRefused { request, refused }
                    }
                };
                self.session.tell(answer).await;
            }
            AgentMessage::Reweigh {
                endpoint,
                weight,
                tier,
                metadata,
            } => {
                let Some(held) = self.held.get(&endpoint) else {
                    return;
                };
                if metadata.len() <= METADATA {
                    held.member.set_place(Place {
                        weight,
                        tier,
                        metadata,
                    });
                    info!(agent = %self.session.owner, url = %held.url, weight, tier, "endpoint reweighed");
                }
            }
            AgentMessage::Health {
                endpoint,
                up,
                reason,
            } => {
                let Some(held) = self.held.get(&endpoint) else {
                    return;
                };
                let reason: String = reason.chars().take(REASON).collect();
                held.member.checked((!up).then_some(&*reason));
                info!(agent = %self.session.owner, url = %held.url, up, reason, "service checked");
            }
            AgentMessage::Unbind { endpoint } => {
                if let Some(Held { url, member, .. }) = self.held.remove(&endpoint) {
                    member.retire();
                    self.edge.endpoints.unbind(&url, endpoint, false);
                    info!(agent = %self.session.owner, %url, "endpoint given back");
                }
            }
            AgentMessage::Drain => {
                self.session.drain();
                self.held.values().for_each(|held| held.member.rest());
                info!(agent = %self.session.owner, session = self.session.id, "agent drains");
            }
        }
    }

    fn bind(&mut self, spec: EndpointSpec) -> Result<(u64, String), Refused> {
        if self.held.len() >= self.edge.limits().endpoints_per_session {
            return Err(refused(
                RefusalCode::Unavailable,
                "this session has as many endpoints as it may (ERR_ADIT_324)",
            ));
        }
        check_texts(&spec)?;
        let asked =
            EndpointUrl::parse(&spec.url).map_err(|error| refused(RefusalCode::Url, error))?;
        let asked = self
            .edge
            .place(asked)
            .map_err(|why| refused(RefusalCode::Url, why))?;
        if asked.scheme == Scheme::Tcp && !self.session.knows_tcp() {
            return Err(refused(
                RefusalCode::Url,
                "this agent is too old for tcp endpoints: update it (ERR_ADIT_332)",
            ));
        }
        let counters = self.counters(&spec, &asked);
        let policy = self.policy(
            (&spec.name, &asked),
            spec.traffic_policy.as_deref(),
            &counters,
        )?;
        let id = self.edge.next_member();
        let member = Arc::new(Member::new(
            id,
            Arc::clone(&self.session),
            (
                MemberSpec {
                    name: spec.name.clone(),
                    mark: self.edge.names.mark(self.asker(&spec.name)),
                    protocol: spec.protocol,
                    pooling: spec.pooling_enabled,
                    checked: spec.checked,
                    report: spec.report,
                    forwards_to: spec.forwards_to,
                },
                Place {
                    weight: spec.weight,
                    tier: spec.tier,
                    metadata: spec.metadata,
                },
                policy,
            ),
            self.edge.cores,
        ));
        self.session.serve(&member);
        let (url, port) = match asked.host {
            _ if asked.scheme == Scheme::Tcp => {
                let asker = self.asker(&spec.name);
                ports::bind(&self.edge, &self.agent.entry.acl, asked, asker, |url| {
                    self.place(url, &member)
                })?
            }
            HostPattern::Random => {
                let url = self.bind_random(asked.scheme, &spec.name, &member)?;
                (url, None)
            }
            _ => (self.bind_named(asked, &spec.name, &member)?, None),
        };
        self.edge.awaited.one_came();
        info!(agent = %self.session.owner, %url, "endpoint online");
        let public = self.edge.public_url(&url).to_string();
        let held = Held {
            url,
            member,
            name: spec.name,
            counters,
            _port: port,
        };
        self.held.insert(id, held);
        Ok((id, public))
    }

    /// Another policy for an endpoint that this session serves; no other's can be named.
    fn update(&self, endpoint: u64, text: Option<&str>) -> Result<(), Refused> {
        let held = self.held.get(&endpoint).ok_or_else(|| {
            refused(
                RefusalCode::Protocol,
                format_args!("this session has no endpoint {endpoint}"),
            )
        })?;
        let old = held.member.policy();
        if old.as_ref().map(|old| &*old.text) == given(text) {
            return Ok(());
        }
        let policy = self.policy((&held.name, &held.url), text, &held.counters)?;
        held.member.set_policy(policy);
        self.edge.review();
        info!(agent = %self.session.owner, url = %held.url, "traffic policy updated");
        Ok(())
    }
}

/// What an access list says no to.
pub(super) fn not_allowed(url: &EndpointUrl) -> Refused {
    let code = match url.scheme {
        Scheme::Tcp => 308,
        _ => 316,
    };
    refused(
        RefusalCode::Acl,
        format_args!(
            "this authtoken may not bind {url}; its `acl` in gateway.yaml decides (ERR_ADIT_{code})"
        ),
    )
}

pub(super) fn refused(code: RefusalCode, reason: impl ToString) -> Refused {
    Refused {
        code,
        reason: reason.to_string(),
        retryable: code == RefusalCode::Unavailable,
    }
}
