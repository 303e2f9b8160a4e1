//! What one `adit.yaml` says, key by key, each value checked where it stands.

use std::{
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
    str::FromStr,
};

use adit_policy::{
    document::{Both, Document},
    endpoint_url::{EndpointUrl, Scheme},
    go_duration::GoDuration,
    secret::Secret,
};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

use super::check::CheckText;
use crate::{ConnectCas, ConnectUrl, Protocol, Upstream};

/// The version of a file, whatever else it holds.
#[derive(Deserialize)]
pub(super) struct Peek {
    pub(super) version: Option<u64>,
}

/// A whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(rename = "version")]
    _version: u64,
    pub(super) agent: Option<AgentText>,
    #[serde(default)]
    pub(super) endpoints: Vec<EndpointText>,
    #[serde(rename = "tunnels")]
    _tunnels: Option<NoTunnels>,
    /// What its policies warn of, one sentence each.
    #[serde(skip)]
    pub(super) warnings: Vec<String>,
}

/// The `agent` block.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AgentText {
    pub(super) authtoken: Option<Secret>,
    pub(super) connect_url: Option<Parsed<ConnectUrl>>,
    pub(super) connect_cas: Option<Cas>,
    pub(super) connect_timeout: Option<GoDuration>,
    pub(super) metadata: Option<String>,
    pub(super) console_ui: Option<ConsoleUi>,
    pub(super) log: Option<Log>,
    pub(super) log_level: Option<LogLevel>,
    pub(super) log_format: Option<LogFormat>,
    // Without effect in this version.
    pub(super) api_key: Option<Secret>,
    pub(super) connect_interface: Option<String>,
    pub(super) console_ui_color: Option<String>,
    pub(super) crl_noverify: Option<bool>,
    pub(super) crl_url: Option<String>,
    pub(super) dns_resolver_ips: Option<Vec<String>>,
    pub(super) heartbeat_interval: Option<GoDuration>,
    pub(super) heartbeat_tolerance: Option<GoDuration>,
    pub(super) inspect_db_size: Option<i64>,
    pub(super) local_storage: Option<bool>,
    pub(super) proxy_url: Option<String>,
    pub(super) remote_management: Option<bool>,
    pub(super) update_channel: Option<String>,
    pub(super) update_check: Option<bool>,
    pub(super) web_addr: Option<OrFalse>,
    pub(super) web_allow_hosts: Option<Vec<String>>,
}

/// One of `endpoints`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointText {
    pub(super) name: String,
    pub(super) url: Option<ServedUrl>,
    pub(super) bindings: Option<Vec<Binding>>,
    pub(super) description: Option<String>,
    pub(super) metadata: Option<String>,
    pub(super) pooling_enabled: Option<bool>,
    pub(super) weight: Option<u32>,
    pub(super) tier: Option<u32>,
    pub(super) inspect: Option<bool>,
    /// Read for its mistakes; what is sent is the value as it stands.
    pub(super) traffic_policy: Option<Both<Document, serde_yaml::Value>>,
    pub(super) traffic_policy_file: Option<PathBuf>,
    pub(super) agent_tls_termination: Option<serde_yaml::Value>,
    pub(super) upstream: Option<UpstreamText>,
}

/// An endpoint's `upstream` block.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UpstreamText {
    pub(super) url: Option<Parsed<Upstream>>,
    pub(super) protocol: Option<ProtocolText>,
    pub(super) proxy_protocol: Option<OrFalse>,
    pub(super) tls_verify: Option<bool>,
    pub(super) tls_verify_cas: Option<PathBuf>,
    pub(super) health_check: Option<CheckText>,
}

// === impl File ===

impl File {
    /// Paths are meant as seen from the file that names them.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        if let Some(Cas(ConnectCas::File(path))) = self
            .agent
            .as_mut()
            .and_then(|agent| agent.connect_cas.as_mut())
        {
            resolve(path);
        }
        for endpoint in &mut self.endpoints {
            endpoint.traffic_policy_file.as_mut().map(resolve);
            let upstream = endpoint.upstream.as_mut();
            upstream
                .and_then(|upstream| upstream.tls_verify_cas.as_mut())
                .map(resolve);
        }
    }

    /// A sentence for each key that was given and changes nothing.
    pub(super) fn without_effect(&self) -> Vec<String> {
        let mut keys = Vec::new();
        if let Some(agent) = &self.agent {
            keys = agent.without_effect();
        }
        for EndpointText {
            name,
            inspect,
            upstream,
            ..
        } in &self.endpoints
        {
            if inspect.is_some() {
                keys.push(format!("inspect of endpoint \"{name}\""));
            }
            if upstream
                .as_ref()
                .is_some_and(|upstream| upstream.proxy_protocol.is_some())
            {
                keys.push(format!("upstream.proxy_protocol of endpoint \"{name}\""));
            }
        }
        keys.into_iter()
            .map(|key| format!("{key} has no effect in this version"))
            .collect()
    }
}

// === impl AgentText ===

impl AgentText {
    fn without_effect(&self) -> Vec<String> {
        let given = [
            ("api_key", self.api_key.is_some()),
            ("connect_interface", self.connect_interface.is_some()),
            ("console_ui_color", self.console_ui_color.is_some()),
            ("crl_noverify", self.crl_noverify.is_some()),
            ("crl_url", self.crl_url.is_some()),
            ("dns_resolver_ips", self.dns_resolver_ips.is_some()),
            ("heartbeat_interval", self.heartbeat_interval.is_some()),
            ("heartbeat_tolerance", self.heartbeat_tolerance.is_some()),
            ("inspect_db_size", self.inspect_db_size.is_some()),
            ("local_storage", self.local_storage.is_some()),
            ("proxy_url", self.proxy_url.is_some()),
            ("remote_management", self.remote_management.is_some()),
            ("update_channel", self.update_channel.is_some()),
            ("update_check", self.update_check.is_some()),
            ("web_addr", self.web_addr.is_some()),
            ("web_allow_hosts", self.web_allow_hosts.is_some()),
        ];
        given
            .iter()
            .filter(|(_, given)| *given)
            .map(|(key, _)| format!("agent.{key}"))
            .collect()
    }
}

/// When to show the status display.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConsoleUi {
    /// When stdout is a terminal.
    #[default]
    IfTty,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where log lines go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Log {
    /// Nowhere.
    #[default]
    Off,
    /// To standard output.
    Stdout,
    /// To standard error.
    Stderr,
    /// To this file.
    File(PathBuf),
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For those who look for a fault.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What may become a fault.
    Warn,
    /// A fault.
    Error,
    /// A fault that ends the agent.
    Crit,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people on a terminal, else `logfmt`.
    #[default]
    Term,
    /// `key=value` pairs.
    Logfmt,
    /// One object a line.
    Json,
}

/// Who may reach an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Binding {
    Public,
    Internal,
    Kubernetes,
}

/// `connect_cas`: `host`, `trusted` (there are no built-in authorities, so the host's), or a file.
#[derive(Debug)]
pub(super) struct Cas(pub(super) ConnectCas);

#[derive(Debug)]
pub(super) struct ProtocolText(pub(super) Protocol);

/// The URL of an endpoint, in canonical form.
#[derive(Debug)]
pub(super) struct ServedUrl(pub(super) EndpointUrl);

/// A text, a number, or `false`, where all that matters is that it is one of them.
#[derive(Debug)]
pub(super) struct OrFalse;

/// `tunnels` is always a mistake.
#[derive(Debug)]
pub(super) struct NoTunnels;

/// A value that reads itself from text, or from a number or a truth value as people leave the quotes out.
#[derive(Debug)]
pub(super) struct Parsed<T>(pub(super) T);

struct ParsedVisitor<T>(PhantomData<T>);

// === how each reads itself ===

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(ParsedVisitor(PhantomData))
            .map(Self)
    }
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for ParsedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<T, E> {
        self.visit_str(if truth { "true" } else { "false" })
    }
}

/// Types that read themselves from a text, without a `Parsed` around them in the file's structs.
macro_rules! read_from_text {
    ($($name:ty: |$text:ident| $parse:expr;)*) => {$(
        impl FromStr for $name {
            type Err = String;

            fn from_str($text: &str) -> Result<Self, String> {
                $parse
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ParsedVisitor(PhantomData))
            }
        }
    )*};
}

read_from_text! {
    ConsoleUi: |text| match text {
        "iftty" => Ok(Self::IfTty),
        "true" => Ok(Self::Always),
        "false" => Ok(Self::Never),
        other => Err(format!("\"{other}\" is not true, false or iftty")),
    };
    Log: |text| match text {
        "false" => Ok(Self::Off),
        "stdout" => Ok(Self::Stdout),
        "stderr" => Ok(Self::Stderr),
        "true" | "" => Err("log is stdout, stderr, false, or the path of a file".into()),
        path => Ok(Self::File(path.into())),
    };
    Cas: |text| match text {
        "host" | "trusted" => Ok(Self(ConnectCas::Host)),
        "" | "true" | "false" => Err("connect_cas is host, trusted, or the path of a PEM file".into()),
        path => Ok(Self(ConnectCas::File(path.into()))),
    };
    ProtocolText: |text| match text {
        "http1" => Ok(Self(Protocol::Http1)),
        "http2" => Ok(Self(Protocol::Http2)),
        other => Err(format!("\"{other}\" is not http1 or http2")),
    };
    OrFalse: |_text| Ok(Self);
    ServedUrl: |text| {
        let url = EndpointUrl::parse(text).map_err(|error| error.to_string())?;
        match url.scheme {
            Scheme::Http | Scheme::Https | Scheme::Tcp => Ok(Self(url)),
            Scheme::Tls => Err("tls:// endpoints are not available in this version: use https:// or tcp://".into()),
        }
    };
}

impl<'de> Deserialize<'de> for NoTunnels {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(NO_TUNNELS))
    }
}

const NO_TUNNELS: &str =
    "`tunnels` is of version 2: write each as one of `endpoints:` with name, url and upstream.url";
