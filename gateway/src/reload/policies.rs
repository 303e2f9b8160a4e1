//! From texts to policies: all of them or none, and what has not changed is not built again.

use std::sync::Arc;

use adit_policy::{
    LoadError, Policy,
    document::{self, Document, Mistake, read_warned},
    endpoint_url::EndpointUrl,
    env::Env,
};

use serde_yaml::Value;

use super::{ConfigErrors, texts::Texts};
use crate::{
    config::{self, Config, ConfigError, EndpointEntry},
    pools::endpoints::{Declared, Endpoint},
};

/// The operator's policies, each with what it was built from.
#[derive(Default)]
pub(super) struct Policies {
    all: Vec<Built>,
    /// The text of `gateway.yaml` that was read last.
    whole: Option<Arc<str>>,
}

struct Built {
    url: EndpointUrl,
    normalize_paths: bool,
    pool: config::Pool,
    source: Source,
    policy: Option<Arc<Policy>>,
}

#[derive(Clone, PartialEq)]
enum Source {
    Nothing,
    /// Written into `gateway.yaml`: what stands there under the endpoint, whatever else that file says.
    Inside(Value),
    File(Arc<str>),
}

// === impl Policies ===

impl Policies {
    /// Builds all policies of a configuration, except those whose text is the one that `known` were built from. What is
    /// right in a new text, and probably not what was meant, is told.
    ///
    /// # Errors
    /// Every policy that cannot be read or built. Then there are none at all.
    pub(super) fn build(
        config: &mut Config,
        texts: &Texts,
        known: &Self,
        env: &Env,
        tell: &mut dyn FnMut(&Mistake),
    ) -> Result<Self, ConfigErrors> {
        let whole = config
            .origin
            .as_ref()
            .map(|origin| Arc::clone(&origin.text));
        if whole.is_none() || whole != known.whole {
            config.warnings.iter().for_each(&mut *tell);
        }
        let mut all = Vec::with_capacity(config.endpoints.len());
        let mut mistakes = Vec::new();
        let mut written = written(whole.as_deref());
        for entry in std::mem::take(&mut config.endpoints) {
            match known.one(entry, written.next(), texts, env, tell) {
                Ok(policy) => all.push(policy),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() {
            Ok(Self { all, whole })
        } else {
            Err(ConfigErrors(mistakes.into()))
        }
    }

    /// As endpoints have them.
    pub(super) fn declared(&self) -> Vec<Declared> {
        self.all.iter().map(Built::declared).collect()
    }

    /// Takes over newer policies and tells which endpoints have another one now. Endpoints come and go only at
    /// a restart: the policy of one that is missing among the newer ones stays.
    pub(super) fn renew(&mut self, newer: Self) -> Vec<Declared> {
        let mut changed = Vec::new();
        self.whole = newer.whole;
        for new in newer.all {
            let Some(old) = self.all.iter_mut().find(|old| old.url == new.url) else {
                continue;
            };
            if old.policy.as_ref().map(Arc::as_ptr) != new.policy.as_ref().map(Arc::as_ptr) {
                changed.push(new.declared());
            }
            *old = new;
        }
        changed
    }

    fn one(
        &self,
        entry: EndpointEntry,
        written: Option<Value>,
        texts: &Texts,
        env: &Env,
        tell: &mut dyn FnMut(&Mistake),
    ) -> Result<Built, ConfigError> {
        let url = entry.place();
        let normalize_paths = entry.normalize_paths;
        let pool = entry.pool.clone();
        let source = match (&entry.traffic_policy, &entry.traffic_policy_file) {
            (Some(_), _) => Source::Inside(written.unwrap_or_default()),
            (None, Some(file)) => Source::File(Arc::clone(texts.get(file)?)),
            (None, None) => Source::Nothing,
        };
        let known = self.all.iter().find(|known| known.url == url);
        let policy = match known.filter(|known| known.source == source) {
            Some(known) => known.policy.clone(),
            None => build(entry, &source, &env.for_endpoint(&url.to_string()), tell)?.map(Arc::new),
        };
        Ok(Built {
            url,
            normalize_paths,
            pool,
            source,
            policy,
        })
    }
}

// === impl Built ===

impl Built {
    fn declared(&self) -> Declared {
        Declared {
            url: self.url.clone(),
            normalize_paths: self.normalize_paths,
            pool: self.pool.clone(),
            policy: self.policy.clone(),
        }
    }
}

/// What stands under each endpoint of `gateway.yaml` as its policy, in their order.
fn written(whole: Option<&str>) -> impl Iterator<Item = Value> + use<> {
    // The text was read as a configuration before.
    let whole = whole.and_then(|text| document::read::<Value>("", text).ok());
    let endpoints = whole.and_then(|mut whole| whole.get_mut("endpoints").map(std::mem::take));
    let endpoints = match endpoints {
        Some(Value::Sequence(endpoints)) => endpoints,
        _ => Vec::new(),
    };
    endpoints.into_iter().map(|mut endpoint| {
        let policy = endpoint.get_mut("traffic_policy");
        policy.map(std::mem::take).unwrap_or_default()
    })
}

fn build(
    entry: EndpointEntry,
    source: &Source,
    env: &Env,
    tell: &mut dyn FnMut(&Mistake),
) -> Result<Option<Policy>, ConfigError> {
    let url = entry.place();
    let document = match (entry.traffic_policy, entry.traffic_policy_file, source) {
        (Some(document), ..) => document,
        (None, Some(file), Source::File(text)) => {
            let read = read_warned::<Document>(&file.display().to_string(), text);
            let (document, warnings) = read.map_err(refused)?;
            warnings.iter().for_each(tell);
            document
        }
        _ => return Ok(None),
    };
    document
        .check_for(url.scheme, Endpoint::has_internal_url(&url))
        .map_err(|misplaced| ConfigError::Endpoint {
            url: url.to_string(),
            misplaced,
        })?;
    Policy::build(document, env).map(Some).map_err(refused)
}

fn refused(error: impl Into<LoadError>) -> ConfigError {
    ConfigError::Policy(Box::new(error.into()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const DENY: &str = "on_http_request: [{ actions: [{ type: deny }] }]\n";
    const TEAPOT: &str =
        "on_http_request: [{ actions: [{ type: deny, config: { status_code: 418 } }] }]\n";

    struct Files(TempDir);

    impl Files {
        fn with(files: &[(&str, &str)]) -> Self {
            let folder = Self(TempDir::new().unwrap());
            files
                .iter()
                .for_each(|(name, text)| folder.write(name, text));
            folder
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.path().join(name), text).unwrap();
        }

        fn built(&self, known: &Policies) -> Result<Policies, Vec<String>> {
            self.told(known, &mut |_| {})
        }

        fn told(
            &self,
            known: &Policies,
            tell: &mut dyn FnMut(&Mistake),
        ) -> Result<Policies, Vec<String>> {
            let (texts, config) = Texts::read(&self.0.path().join("gateway.yaml"));
            let mut config = config.unwrap_or_else(|error| panic!("{error}"));
            Policies::build(&mut config, &texts, known, &Env::system(), tell)
                .map_err(|all| all.0.iter().map(ToString::to_string).collect())
        }
    }

    fn gateway(endpoints: &str) -> String {
        format!("domain: example.com\ntls: {{ local_ca: true }}\nendpoints:\n{endpoints}")
    }

    #[test]
    fn only_the_policy_whose_text_has_changed_is_built_again() {
        let files = Files::with(&[
            (
                "gateway.yaml",
                &gateway(
                    "- { url: a.example.com, traffic_policy_file: a.yaml }\n\
                     - { url: b.example.com, traffic_policy_file: b.yaml }\n\
                     - { url: c.example.com }\n",
                ),
            ),
            ("a.yaml", DENY),
            ("b.yaml", DENY),
        ]);
        let mut policies = files.built(&Policies::default()).unwrap();
        let before = policies.declared();
        files.write("a.yaml", TEAPOT);
        let changed = policies.renew(files.built(&policies).unwrap());
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0].url.to_string(), "https://a.example.com");
        let after = policies.declared();
        let kept = |at: usize| {
            let pair = [&before[at], &after[at]].map(|one| one.policy.as_ref().map(Arc::as_ptr));
            pair[0] == pair[1]
        };
        assert!(!kept(0) && kept(1) && kept(2));
        assert!(policies.renew(files.built(&policies).unwrap()).is_empty());
    }

    #[test]
    fn every_mistake_is_told_and_none_is_applied() {
        let files = Files::with(&[
            (
                "gateway.yaml",
                &gateway(
                    "- { url: a.example.com, traffic_policy_file: a.yaml }\n\
                     - { url: b.example.com, traffic_policy_file: b.yaml }\n\
                     - { url: c.example.com, traffic_policy_file: c.yaml }\n",
                ),
            ),
            (
                "a.yaml",
                "on_http_request: [{ actions: [{ type: dney }] }]\n",
            ),
            ("b.yaml", DENY),
        ]);
        let mistakes = files.built(&Policies::default()).err().unwrap();
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        assert!(mistakes[0].contains("a.yaml:1:") && mistakes[0].contains("dney"));
        assert!(mistakes[1].contains("cannot read") && mistakes[1].contains("c.yaml"));
    }

    #[test]
    fn a_text_that_is_new_is_warned_of_and_a_known_one_is_not() {
        let older = "inbound: [{ actions: [{ type: deny }] }]\n";
        let endpoints = format!(
            "- {{ url: a.example.com, traffic_policy: {{ {} }} }}\n\
             - {{ url: b.example.com, traffic_policy_file: b.yaml }}\n",
            older.trim_end()
        );
        let files = Files::with(&[("gateway.yaml", &gateway(&endpoints)), ("b.yaml", older)]);
        let mut warnings = Vec::new();
        let built = files.told(&Policies::default(), &mut |warning| {
            warnings.push(warning.in_one_line());
        });
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("gateway.yaml:4:"), "{warnings:?}");
        assert!(
            warnings[1].contains("b.yaml:1:1: `inbound` is called"),
            "{warnings:?}"
        );
        let again = files.told(&built.unwrap(), &mut |warning| panic!("{warning}"));
        assert!(again.is_ok());
    }

    #[test]
    fn an_internal_endpoint_has_no_policy_for_connections() {
        let policy = "{ on_tcp_connect: [{ actions: [{ type: deny }] }] }";
        let endpoint = format!("- {{ url: http://a.internal, traffic_policy: {policy} }}\n");
        let files = Files::with(&[("gateway.yaml", &gateway(&endpoint))]);
        let mistakes = files.built(&Policies::default()).err().unwrap();
        assert!(
            mistakes[0].starts_with("endpoint http://a.internal: on_tcp_connect"),
            "{mistakes:?}"
        );
    }

    #[test]
    fn a_policy_may_move_into_its_own_file_or_go() {
        let inside = "- { url: a.example.com, traffic_policy: { on_http_request: [{ actions: [{ type: deny }] }] } }\n";
        let files = Files::with(&[("gateway.yaml", &gateway(inside)), ("a.yaml", DENY)]);
        let mut policies = files.built(&Policies::default()).unwrap();
        for entry in [
            "- { url: a.example.com, traffic_policy_file: a.yaml }\n",
            "- { url: a.example.com }\n",
            inside,
        ] {
            files.write("gateway.yaml", &gateway(entry));
            let changed = policies.renew(files.built(&policies).unwrap());
            assert_eq!(changed.len(), 1, "{entry}");
            assert_eq!(changed[0].policy.is_some(), entry.contains("policy"));
        }
    }

    #[test]
    fn a_policy_in_gateway_yaml_stays_when_something_else_there_changes() {
        let inside = |status: u16| {
            format!(
                "- {{ url: a.example.com, traffic_policy: {{ on_http_request: [{{ actions: [{{ type: deny, config: {{ status_code: {status} }} }}] }}] }} }}\n"
            )
        };
        let files = Files::with(&[("gateway.yaml", &gateway(&inside(410)))]);
        let mut policies = files.built(&Policies::default()).unwrap();
        let other = format!(
            "{}- {{ url: b.example.com }}\nlimits: {{ header_count: 7 }}\n",
            gateway(&inside(410))
        );
        files.write("gateway.yaml", &other);
        assert!(policies.renew(files.built(&policies).unwrap()).is_empty());
        files.write("gateway.yaml", &other.replace("410", "418"));
        assert_eq!(policies.renew(files.built(&policies).unwrap()).len(), 1);
    }

    #[test]
    fn the_policy_of_an_endpoint_that_was_taken_out_stays_until_a_restart() {
        let files = Files::with(&[
            (
                "gateway.yaml",
                &gateway("- { url: a.example.com, traffic_policy_file: a.yaml }\n"),
            ),
            ("a.yaml", DENY),
        ]);
        let mut policies = files.built(&Policies::default()).unwrap();
        files.write("gateway.yaml", &gateway("- { url: new.example.com }\n"));
        assert!(policies.renew(files.built(&policies).unwrap()).is_empty());
        let [left] = policies.declared().try_into().unwrap();
        assert!(left.policy.is_some() && left.url.to_string() == "https://a.example.com");
    }
}
