//! What is wrong with a policy, and what is right and was probably not meant.

mod doubts;

use serde::Deserialize;

use super::case::policy_in;
use crate::document::{Document, Mistake, Places, Step, read_warned};

/// What was found in one file.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// How many rules its policies hold.
    pub rules: usize,
    /// What is wrong, in the order of the text.
    pub mistakes: Vec<Mistake>,
    /// Whether these are all mistakes that there are.
    pub is_all: bool,
    /// What is doubtful, in the order of the text; nothing while there are mistakes.
    pub warnings: Vec<Mistake>,
    /// Files with more policies that this one names, as seen from it.
    pub files: Vec<String>,
}

/// A configuration of a gateway or of an agent, as far as it holds policies.
#[derive(Debug, Deserialize)]
struct Configuration {
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    #[serde(default)]
    traffic_policy: Option<Document>,
    #[serde(default)]
    traffic_policy_file: Option<String>,
}

/// Keys that only a configuration has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Peek {
    endpoints: Option<serde::de::IgnoredAny>,
    domain: Option<serde::de::IgnoredAny>,
    agent: Option<serde::de::IgnoredAny>,
}

/// Checks a policy's file, with cases below it or without, or a `gateway.yaml` or `adit.yaml` with policies in it. `file` is only a name for messages.
pub fn file(file: &str, text: &str) -> Checked {
    let text = &*policy_in(text);
    let is_configuration = read_warned::<Peek>(file, text).is_ok_and(|(peek, _)| {
        peek.endpoints.is_some() || peek.domain.is_some() || peek.agent.is_some()
    });
    match is_configuration {
        true => configuration(file, text),
        false => policy(file, text),
    }
}

/// Checks a policy's file.
pub fn policy(file: &str, text: &str) -> Checked {
    checked(file, text, |document: &Document, checked, places| {
        checked.see(document, &[], places);
    })
}

fn configuration(file: &str, text: &str) -> Checked {
    checked(
        file,
        text,
        |configuration: &Configuration, checked, places| {
            for (index, endpoint) in configuration.endpoints.iter().enumerate() {
                if let Some(document) = &endpoint.traffic_policy {
                    let way = ["endpoints".into(), index.into(), "traffic_policy".into()];
                    checked.see(document, &way, places);
                }
                checked.files.extend(endpoint.traffic_policy_file.clone());
            }
        },
    )
}

fn checked<T: serde::de::DeserializeOwned>(
    file: &str,
    text: &str,
    see: impl FnOnce(&T, &mut Checked, &Places<'_>),
) -> Checked {
    match read_warned::<T>(file, text) {
        Ok((read, warnings)) => {
            let mut checked = Checked {
                warnings,
                is_all: true,
                ..Checked::default()
            };
            see(&read, &mut checked, &Places::of(file, text));
            let place = |warning: &Mistake| (warning.line(), warning.column());
            checked.warnings.sort_by_key(place);
            checked
        }
        Err(mistakes) => Checked {
            mistakes: mistakes.iter().cloned().collect(),
            is_all: mistakes.is_all(),
            ..Checked::default()
        },
    }
}

// === impl Checked ===

impl Checked {
    fn see(&mut self, document: &Document, at: &[Step], places: &Places<'_>) {
        self.rules += document.phases.iter().map(Vec::len).sum::<usize>();
        for doubt in doubts::of(document) {
            let way: Vec<_> = at.iter().cloned().chain(doubt.way).collect();
            self.warnings.push(places.warning(&way, doubt.message));
        }
    }

    /// As in `12 rules, no mistakes, 1 warning`.
    pub fn summary(&self) -> String {
        if !self.mistakes.is_empty() {
            let more = if self.is_all {
                ""
            } else {
                ", and there may be more"
            };
            return format!("{}{more}", counted(self.mistakes.len(), "mistake"));
        }
        let rules = counted(self.rules, "rule");
        match self.warnings.len() {
            0 => format!("{rules}, no mistakes"),
            warnings => format!("{rules}, no mistakes, {}", counted(warnings, "warning")),
        }
    }
}

/// As in `1 rule` and `2 rules`.
pub fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}
