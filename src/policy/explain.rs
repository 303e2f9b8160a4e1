//! `adit policy explain`: what a policy does with one request, step by step.

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use adit_policy::secret::Secret;
use adit_policy::tools::{
    Secrets,
    case::policy_in,
    explain::Explanation,
    given::{Answer, Given, Upstream},
    said::{Lines, Said},
    simulation::Simulation,
};
use clap::{ArgAction, Args};

use super::{paint, read, unreadable};
use crate::{exit::Failure, runtime, terminal};

/// Send a described request through a policy and tell what happens, rule by rule
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  adit policy explain policy.yaml --url https://app.example.com/admin --client-ip 203.0.113.7
  adit policy explain policy.yaml --method POST --url /hook -H 'x-event: push' --body @hook.json
  adit policy explain policy.yaml --url / --response 500 --json
  adit policy explain policy.yaml --url / --secret-env web/api-key=WEB_API_KEY

It is the gateway's engine that runs, with nothing around it: what the policy itself would fetch cannot
be reached, and counters begin at nothing. Credentials in headers and results are shown as ***, and what
secrets.get gives as [secret VAULT/NAME], always.")]
pub(super) struct Explain {
    /// The policy
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The request's address: a whole URL, or only a path; tcp:// or tls:// for a connection without a
    /// request
    #[arg(long, value_name = "URL")]
    url: String,
    /// The request's method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// HTTP/1.1 or HTTP/2
    #[arg(long, value_name = "VERSION", default_value = "HTTP/1.1")]
    http_version: String,
    /// A header of the request; may be given several times
    #[arg(short = 'H', long, value_name = "NAME: VALUE", action = ArgAction::Append)]
    header: Vec<String>,
    /// The request's body, or @ and the file that holds it
    #[arg(long, value_name = "TEXT|@FILE")]
    body: Option<String>,
    /// Who asks
    #[arg(long, value_name = "IP", default_value = "192.0.2.1")]
    client_ip: String,
    /// When
    #[arg(long, value_name = "TIME", default_value = "2026-01-01T00:00:00Z")]
    time: String,
    /// The status of the service's answer, or `offline`
    #[arg(long, value_name = "STATUS", default_value = "200")]
    response: String,
    /// A header of the service's answer; may be given several times
    #[arg(long, value_name = "NAME: VALUE", action = ArgAction::Append)]
    response_header: Vec<String>,
    /// The body of the service's answer, or @ and the file that holds it
    #[arg(long, value_name = "TEXT|@FILE")]
    response_body: Option<String>,
    /// A secret for secrets.get, from a variable of the environment; may be given several times. Its value is
    /// never printed
    #[arg(long, value_name = "VAULT/NAME=VARIABLE", action = ArgAction::Append)]
    secret_env: Vec<String>,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
    /// Show credentials as they are
    #[arg(long)]
    show_secrets: bool,
}

impl Explain {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let text = read(&self.file)?;
        let given = self.given()?;
        let name = self.file.display().to_string();
        let simulation =
            Simulation::of(&name, &policy_in(&text), true).map_err(Failure::mistake)?;
        runtime::run(async {
            let run = simulation.run(&given).await;
            let secrets = match self.show_secrets {
                true => Secrets::Shown,
                false => Secrets::Hidden,
            };
            let told = Explanation::of(simulation.policy(), &given, &run).with(secrets, paint());
            terminal::print(&match self.json {
                true => format!("{:#}\n", told.json()),
                false => told.to_string(),
            })
        })
    }

    fn given(&self) -> Result<Given, Failure> {
        Ok(Given {
            url: Some(said("--url", &self.url)?),
            method: Some(said("--method", &self.method)?),
            version: Some(said("--http-version", &self.http_version)?),
            headers: lines("--header", &self.header)?,
            body_base64: body(self.body.as_deref())?,
            client_ip: Some(said("--client-ip", &self.client_ip)?),
            time: Some(said("--time", &self.time)?),
            upstream: Some(match self.response.as_str() {
                "offline" => Upstream::Offline,
                status => Upstream::Answers(Answer {
                    status: said("--response", status)?,
                    headers: lines("--response-header", &self.response_header)?,
                    body: None,
                    body_base64: body(self.response_body.as_deref())?,
                }),
            }),
            secrets: secrets(&self.secret_env)?,
            ..Given::default()
        })
    }
}

/// Secrets from the environment: on a command line, everybody on the machine could read them.
fn secrets(texts: &[String]) -> Result<BTreeMap<String, BTreeMap<String, Secret>>, Failure> {
    let mut secrets: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
    for text in texts {
        let wrong = |why: &str| Failure::usage(format_args!("--secret-env {text}: {why}"));
        let form = || wrong("it is written as in web/api-key=WEB_API_KEY");
        let (secret, variable) = text.split_once('=').ok_or_else(form)?;
        let (vault, name) = secret.split_once('/').ok_or_else(form)?;
        let value = std::env::var(variable);
        let value = value.map_err(|_| wrong("there is no such variable"))?;
        let vault = secrets.entry(vault.to_owned()).or_default();
        vault.insert(name.to_owned(), Secret::new(value));
    }
    Ok(secrets)
}

fn said<T: FromStr<Err: Display>>(flag: &str, text: &str) -> Result<Said<T>, Failure> {
    let read = text.parse().map(Said);
    read.map_err(|error| Failure::usage(format_args!("{flag} {text}: {error}")))
}

fn lines(flag: &str, texts: &[String]) -> Result<Lines, Failure> {
    let mut lines = Lines::default();
    for text in texts {
        let added = lines.add(text);
        added.map_err(|error| Failure::usage(format_args!("{flag} {text}: {error}")))?;
    }
    Ok(lines)
}

/// A text, or the bytes of a file behind `@`.
fn body<T: From<Vec<u8>>>(given: Option<&str>) -> Result<Option<Said<T>>, Failure> {
    let Some(text) = given else {
        return Ok(None);
    };
    let bytes = match text.strip_prefix('@').map(Path::new) {
        Some(file) => fs::read(file).map_err(|error| unreadable(file, &error))?,
        None => text.as_bytes().to_vec(),
    };
    Ok(Some(Said(bytes.into())))
}
