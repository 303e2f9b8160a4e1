//! `adit.yaml`: what it may say and what that means.
//!
//! Version 3 of the shape that ngrok's users know. Every key is read and checked; one that has no
//! effect in this version gives a warning. A key that nobody knows is a mistake, with its place.

mod check;
mod file;
mod merge;
mod written;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use adit_policy::{
    document::{self, Both, Document, Mistake, Mistakes},
    endpoint_url::{EndpointUrl, Scheme},
    secret::Secret,
};

use self::{
    file::{Binding, EndpointText, File, Peek},
    merge::merge,
};
pub use self::{
    file::{ConsoleUi, Log, LogFormat, LogLevel},
    written::Written,
};
use crate::{Agent, AgentBuilder, ConnectCas, ConnectUrl, EndpointOptions, Upstream};

/// What one or several files say together.
#[derive(Debug)]
pub struct Config {
    /// The agent itself.
    pub agent: AgentConfig,
    /// Its endpoints, in the order of the files.
    pub endpoints: Vec<EndpointConfig>,
    /// What is right and probably not what was meant, as keys that change nothing; one sentence each.
    pub warnings: Vec<String>,
    /// What was given besides policies.
    pub written: Written,
}

/// The `agent` block.
#[derive(Debug, Clone, Default)]
pub struct AgentConfig {
    /// The secret that the gateway knows the agent by.
    pub authtoken: Option<Secret>,
    /// The gateway; without one there is an embedded one.
    pub connect_url: Option<ConnectUrl>,
    /// Whom to believe that the gateway is who it says it is.
    pub connect_cas: ConnectCas,
    /// How long one try to connect may take.
    pub connect_timeout: Option<Duration>,
    /// The user's own text about this agent.
    pub metadata: Option<String>,
    /// Whether there is a status display.
    pub console_ui: ConsoleUi,
    /// Where log lines go.
    pub log: Log,
    /// The least important lines that are still written.
    pub log_level: LogLevel,
    /// How they are written.
    pub log_format: LogFormat,
}

/// One of `endpoints`.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// What to ask the gateway for.
    pub options: EndpointOptions,
    /// Where its streams go.
    pub upstream: Upstream,
    /// The file that its traffic policy was read from.
    pub policy_file: Option<PathBuf>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that says something wrong, with the places.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// A file of another version.
    #[error("{}: {what}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// An endpoint that is right in no single place.
    #[error("endpoint \"{name}\": {what}")]
    Endpoint {
        /// Which one.
        name: String,
        /// What is wrong and what to do.
        what: String,
    },
    /// Several endpoints are not right.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))]
    Several(Vec<Self>),
}

// === impl Config ===

impl Config {
    /// Reads files, later ones over earlier ones: maps merge by key, lists are replaced, endpoints
    /// merge by name.
    ///
    /// # Errors
    /// When one cannot be read, or they say something wrong.
    pub fn load<P: AsRef<Path>>(paths: &[P]) -> Result<Self, ConfigError> {
        let mut all = File::default();
        let mut written = Written::default();
        for path in paths {
            let path = path.as_ref();
            let text = read(path)?;
            merge(&mut all, File::parse(path, &text)?);
            written.add(&text);
        }
        Ok(Self {
            written,
            ..Self::build(all)?
        })
    }

    /// An agent with the settings of the file; what is set after it wins.
    #[must_use]
    pub fn builder(&self) -> AgentBuilder {
        let agent = &self.agent;
        let mut builder = Agent::builder().connect_cas(agent.connect_cas.clone());
        if let Some(token) = &agent.authtoken {
            builder = builder.authtoken(token.expose());
        }
        if let Some(url) = &agent.connect_url {
            builder = builder.connect_url(url.to_string());
        }
        if let Some(limit) = agent.connect_timeout {
            builder = builder.connect_timeout(limit);
        }
        if let Some(text) = &agent.metadata {
            builder = builder.metadata(text);
        }
        builder
    }

    fn build(file: File) -> Result<Self, ConfigError> {
        let mut warnings = file.without_effect();
        warnings.extend(file.warnings);
        let agent = file.agent.unwrap_or_default();
        let (mut endpoints, mut mistakes) = (Vec::new(), Vec::new());
        for endpoint in file.endpoints {
            match EndpointConfig::build(endpoint, &mut warnings) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        match mistakes.pop() {
            Some(only) if mistakes.is_empty() => return Err(only),
            Some(last) => {
                mistakes.push(last);
                return Err(ConfigError::Several(mistakes));
            }
            None => {}
        }
        Ok(Self {
            agent: AgentConfig {
                authtoken: agent.authtoken,
                connect_url: agent.connect_url.map(|url| url.0),
                connect_cas: agent.connect_cas.map(|cas| cas.0).unwrap_or_default(),
                connect_timeout: agent.connect_timeout.map(|limit| limit.0),
                metadata: agent.metadata,
                console_ui: agent.console_ui.unwrap_or_default(),
                log: agent.log.unwrap_or_default(),
                log_level: agent.log_level.unwrap_or_default(),
                log_format: agent.log_format.unwrap_or_default(),
            },
            endpoints,
            warnings,
            written: Written::default(),
        })
    }
}

// === impl EndpointConfig ===

impl EndpointConfig {
    /// The endpoint's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.options.name()
    }

    fn build(text: EndpointText, warnings: &mut Vec<String>) -> Result<Self, ConfigError> {
        let name = text.name.clone();
        let wrong = |what: String| ConfigError::Endpoint {
            name: name.clone(),
            what,
        };
        let url = text.url.map(|url| url.0);
        if let Some(bindings) = &text.bindings {
            let is_internal = url.as_ref().is_some_and(EndpointUrl::is_internal);
            // Served all the same, it would be open to others than those it is meant for.
            match (bindings.as_slice(), is_internal) {
                ([Binding::Public], false) | ([Binding::Internal], true) => {}
                ([Binding::Internal], false) => {
                    return Err(wrong(
                        "`bindings: [internal]` needs a url below .internal, as in https://app.internal".into(),
                    ));
                }
                ([Binding::Public], true) => {
                    return Err(wrong(
                        "a url below .internal is reached by policies only: leave `bindings: [public]` out".into(),
                    ));
                }
                _ => {
                    return Err(wrong(
                        "only `bindings: [public]` and `bindings: [internal]` are available in this version".into(),
                    ));
                }
            }
        }
        if text.agent_tls_termination.is_some() {
            return Err(wrong("agent_tls_termination belongs to tls:// endpoints, which are not available in this version".into()));
        }
        let upstream_text = text.upstream.unwrap_or_default();
        let Some(upstream) = upstream_text.url else {
            return Err(wrong(
                "it needs upstream.url, as in upstream: { url: \"3000\" }".into(),
            ));
        };
        let fits = |policy: &Document| match &url {
            Some(url) => policy.check_for(url.scheme, url.is_internal()),
            None => Ok(()),
        };
        let is_tcp = url.as_ref().is_some_and(|url| url.scheme == Scheme::Tcp);
        if is_tcp && upstream_text.protocol.is_some() {
            return Err(wrong(
                "upstream.protocol is for http endpoints: a tcp endpoint carries any".into(),
            ));
        }
        let wanted = url.as_ref().map(EndpointUrl::to_string).unwrap_or_default();
        let upstream = upstream.0.for_url(&wanted);
        let upstream = upstream.map_err(|error| wrong(error.to_string()))?;
        let mut upstream = upstream.tls_verify(upstream_text.tls_verify.unwrap_or(false));
        if let Some(path) = upstream_text.tls_verify_cas {
            upstream = upstream.tls_verify_cas(path);
        }
        if let Some(check) = upstream_text.health_check {
            upstream = upstream.health_check(check.0);
        }
        let policy_file = text.traffic_policy_file.clone();
        let policy = match (text.traffic_policy, text.traffic_policy_file) {
            (Some(_), Some(_)) => {
                return Err(wrong(
                    "traffic_policy and traffic_policy_file exclude each other".into(),
                ));
            }
            (Some(Both(document, inline)), None) => {
                fits(&document).map_err(|misplaced| wrong(misplaced.to_string()))?;
                Some(written(&inline).ok_or_else(|| {
                    wrong("traffic_policy cannot be sent as it stands: put it in a file of its own, with traffic_policy_file".into())
                })?)
            }
            (None, Some(path)) => {
                let policy = read(&path)?;
                let shown = path.display().to_string();
                let (document, found) = document::read_warned::<Document>(&shown, &policy)?;
                fits(&document).map_err(|misplaced| wrong(misplaced.to_string()))?;
                warnings.extend(found.iter().map(Mistake::in_one_line));
                Some(policy)
            }
            (None, None) => None,
        };
        let mut options = EndpointOptions::new(&text.name)
            .url(wanted)
            .pooling_enabled(text.pooling_enabled.unwrap_or(false))
            .weight(text.weight.unwrap_or(100))
            .tier(text.tier.unwrap_or(0))
            .metadata(text.metadata.unwrap_or_default())
            .description(text.description.unwrap_or_default())
            .protocol(
                upstream_text
                    .protocol
                    .map(|protocol| protocol.0)
                    .unwrap_or_default(),
            );
        if let Some(policy) = policy {
            options = options.traffic_policy(policy);
        }
        Ok(Self {
            options,
            upstream,
            policy_file,
        })
    }
}

// === impl File ===

impl File {
    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        let version = |what: String| ConfigError::Version {
            path: path.into(),
            what,
        };
        match document::read::<Option<Peek>>(&shown, text)?.and_then(|peek| peek.version) {
            Some(3) => {}
            Some(old @ 1..3) => {
                return Err(version(format!(
                    "version {old} is not read: write `version: 3`, move the agent's settings under `agent:`, \
                     and write each tunnel as one of `endpoints:` with name, url and upstream.url"
                )));
            }
            Some(other) => {
                return Err(version(format!(
                    "version {other} is not known: use `version: 3`"
                )));
            }
            None => return Err(version("it needs `version: 3`".into())),
        }
        let (mut file, found): (Self, _) = document::read_warned(&shown, text)?;
        file.warnings = found.iter().map(Mistake::in_one_line).collect();
        file.resolve_paths(path.parent().unwrap_or_else(|| Path::new("")));
        file.refuse_twins()?;
        Ok(file)
    }

    fn refuse_twins(&self) -> Result<(), ConfigError> {
        let mut names = std::collections::HashSet::new();
        match self
            .endpoints
            .iter()
            .find(|endpoint| !names.insert(&endpoint.name))
        {
            Some(twin) => Err(ConfigError::Endpoint {
                name: twin.name.clone(),
                what: "another endpoint of this file has the same name".into(),
            }),
            None => Ok(()),
        }
    }
}

/// A policy as text that says exactly the same: not every text survives being written by one and read by another.
fn written(policy: &serde_yaml::Value) -> Option<String> {
    let text = serde_yaml::to_string(policy).ok()?;
    let again = document::read::<serde_yaml::Value>("traffic_policy", &text).ok()?;
    (again == *policy).then_some(text)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests;
