//! One exchange through the real engine, from the connection to the last byte of the answer, without a network.
//!
//! What the gateway does around a policy is done here in small: the order of the phases, whose answers pass the response
//! phase, and what a refusal looks like. What it adds to every message (`x-forwarded-*`, `via`, `date`) is left out.

mod scene;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::{Method, Version};

use self::scene::Scene;
use super::given::{Caller, Given};
use super::run::Run;
use super::stage::Stage;
use super::url::Url;
use crate::endpoint_url::Scheme;
use crate::env::Env;
use crate::exchange::{Conn, Endpoint, Tls};
use crate::memory::{Memory, Messages};
use crate::{LoadError, Policy};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// A policy on a stage. Its counters go on from one exchange to the next.
#[derive(Debug)]
pub struct Simulation {
    policy: Policy,
    env: Env,
    stage: Arc<Stage>,
}

// === impl Simulation ===

impl Simulation {
    /// Reads and builds a policy. With `measures`, actions are timed.
    ///
    /// # Errors
    /// When the policy does not load.
    pub fn of(file: &str, text: &str, measures: bool) -> Result<Self, LoadError> {
        let (stage, env) = Stage::new(measures);
        Ok(Self {
            policy: Policy::load(file, text, &env)?,
            env,
            stage,
        })
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Sends what is described through the policy, once.
    pub async fn run(&self, given: &Given) -> Run {
        self.stage.set(given);
        let url = given.url.clone().map(|url| url.0).unwrap_or_default();
        let mut run = Run::default();
        let mut memory = Memory::traced();
        let caller = given.identity.as_ref().map(Caller::identity);
        memory.set_stand_in(caller.map(Arc::new));
        let mut scene = self.scene(given, &url);
        let passed = scene.connection(&mut memory, &mut run).await;
        if passed && matches!(url.endpoint().scheme, Scheme::Http | Scheme::Https) {
            scene.request(given, &mut memory, &mut run).await;
        }
        let Messages {
            trace,
            shadow,
            body,
        } = memory.take_messages();
        run.secret_parts = memory.secret_parts();
        run.secret_parts.add_response_body(body);
        run.note_messages(&trace);
        run.trace = memory.trace().cloned().unwrap_or_default();
        run.trace.rules.extend(trace.rules);
        run.shadow = memory.shadow().to_vec();
        run.shadow.extend(shadow);
        run.results = memory
            .results()
            .map(|(name, value)| (name, value.into_owned()))
            .collect();
        run.fetched = self.stage.take_fetched();
        run.logged = self.stage.take_logged();
        run.warned = self.stage.take_warned();
        run
    }

    fn scene<'s>(&'s self, given: &'s Given, url: &'s Url) -> Scene<'s> {
        let client = given.client_ip.as_ref().map_or(CLIENT, |ip| ip.0);
        let endpoint = url.endpoint();
        let port = endpoint.effective_port().unwrap_or_default();
        let now = self.env.clock().now();
        let (client, server) = (SocketAddr::new(client, 50_000), (GATEWAY, port).into());
        let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let sni = match url.authority().rsplit_once(':') {
            Some((host, port)) if is_port(port) => host,
            _ => url.authority(),
        };
        Scene {
            policy: &self.policy,
            env: &self.env,
            conn: Conn {
                region: given.region.as_deref().unwrap_or("default"),
                tls: match endpoint.scheme {
                    Scheme::Https | Scheme::Tls => Some(tls(given, sni)),
                    Scheme::Http | Scheme::Tcp => None,
                },
                ..Conn::new(client, server, now)
            },
            endpoint: Endpoint {
                id: "ep_simulated",
                url: endpoint,
            },
            method: given.method.as_ref().map_or(Method::GET, |m| m.0.clone()),
            version: given
                .version
                .map_or(Version::HTTP_11, |version| version.0.0),
            authority: url.authority(),
            target: url.target().clone(),
            headers: given.headers.to_map(),
            body: given.body(),
        }
    }
}

fn tls<'s>(given: &'s Given, host: &'s str) -> Tls<'s> {
    let Some(said) = &given.tls else {
        return Tls {
            sni: host,
            version: "1.3",
            ..Tls::default()
        };
    };
    Tls {
        sni: said.sni.as_deref().unwrap_or(host),
        ja4: &said.ja4,
        version: said.version.as_ref().map_or("1.3", |version| &version.0),
        cipher_suite: &said.cipher_suite,
        alpn: &said.alpn,
        resumed: said.resumed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Phase;
    use crate::document::read;

    #[tokio::test]
    async fn the_phases_that_ran_are_told_in_order() {
        let policy = "on_tcp_connect: [{ expressions: [false], actions: [{ type: deny }] }]
on_http_response: [{ actions: [{ type: add-headers, config: { headers: { x-a: b } } }] }]
on_event_stream_message:
  - actions: [{ type: sse-find-replace, config: { replacements: [{ from: a, to: b }] } }]
";
        let simulation = Simulation::of("p.yaml", policy, false).unwrap();
        let phases = async |given: &str| {
            let run = simulation.run(&read("c.yaml", given).unwrap()).await;
            run.phases.iter().map(|ran| ran.phase).collect::<Vec<_>>()
        };
        let stream =
            "upstream: { headers: { content-type: text/event-stream }, body: \"data: a\\n\\n\" }";
        assert_eq!(
            phases(stream).await,
            [
                Phase::OnTcpConnect,
                Phase::OnHttpResponse,
                Phase::OnEventStreamMessage
            ]
        );
        assert_eq!(
            phases("{}").await,
            [Phase::OnTcpConnect, Phase::OnHttpResponse]
        );
        assert_eq!(
            phases("url: tcp://a.example:22").await,
            [Phase::OnTcpConnect]
        );
    }
}
