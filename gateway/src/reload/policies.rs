//! The operator's endpoints with their policies, from texts: all of them or none, and what has not changed is not built
//! again.

use std::{collections::HashMap, sync::Arc};

use adit_policy::{
    LoadError, Policy,
    document::{self, Document, Mistake, read_warned},
    endpoint_url::EndpointUrl,
    env::Env,
};

use serde_yaml::Value;

use super::texts::Texts;
use crate::{
    config::{self, Config, ConfigError, EndpointEntry},
    pools::endpoints::Declared,
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

/// What differs between the endpoints of two configurations.
#[derive(Default)]
pub(super) struct Change {
    /// Those that are new or other ones.
    pub(super) declared: Vec<Declared>,
    pub(super) removed: Vec<EndpointUrl>,
    /// How many endpoints have another policy, or one where they had none, or none where they had one.
    pub(super) policies: usize,
    /// By their URLs.
    pub(super) added: Vec<String>,
    /// Those with other settings than before, their policies aside.
    pub(super) altered: Vec<String>,
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
    ) -> Result<Self, Vec<ConfigError>> {
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
        let known: HashMap<_, _> = known.all.iter().map(|one| (&one.url, one)).collect();
        for entry in std::mem::take(&mut config.endpoints) {
            match one(&known, entry, written.next(), texts, env, tell) {
                Ok(policy) => all.push(policy),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() {
            Ok(Self { all, whole })
        } else {
            Err(mistakes)
        }
    }

    /// As endpoints have them.
    pub(super) fn declared(&self) -> Vec<Declared> {
        self.all.iter().map(Built::declared).collect()
    }

    /// Takes over newer ones and tells what differs.
    pub(super) fn renew(&mut self, newer: Self) -> Change {
        let mut change = Change::default();
        let old = std::mem::replace(self, newer);
        let mut old: HashMap<_, _> = old
            .all
            .into_iter()
            .map(|one| (one.url.clone(), one))
            .collect();
        for new in &self.all {
            let known = old.remove(&new.url);
            let has_other_policy = known.as_ref().and_then(Built::policy) != new.policy();
            let is_altered = known.as_ref().is_some_and(|known| !known.is_set_as(new));
            match known {
                None => change.added.push(new.url.to_string()),
                Some(_) if is_altered => change.altered.push(new.url.to_string()),
                Some(_) if has_other_policy => {}
                Some(_) => continue,
            }
            change.policies += usize::from(has_other_policy);
            change.declared.push(new.declared());
        }
        change.policies += old.values().filter(|gone| gone.policy.is_some()).count();
        change.removed = old.into_keys().collect();
        change
    }
}

// === impl Built ===

impl Built {
    /// What tells its policy from others.
    fn policy(&self) -> Option<*const Policy> {
        self.policy.as_ref().map(Arc::as_ptr)
    }

    /// Whether everything but the policy is the same.
    fn is_set_as(&self, other: &Self) -> bool {
        self.normalize_paths == other.normalize_paths && self.pool == other.pool
    }

    fn declared(&self) -> Declared {
        Declared {
            url: self.url.clone(),
            normalize_paths: self.normalize_paths,
            pool: self.pool.clone(),
            policy: self.policy.clone(),
        }
    }
}

fn one(
    known: &HashMap<&EndpointUrl, &Built>,
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
    let known = known.get(&url);
    let policy = match known.filter(|known| known.source == source && known.pool.none == pool.none)
    {
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
    let is_alone = entry.pool.none;
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
        .check_for(url.scheme, url.is_internal())
        .map_err(|misplaced| ConfigError::Endpoint {
            url: url.to_string(),
            misplaced,
        })?;
    if is_alone {
        document
            .check_handles(url.scheme)
            .map_err(|source| ConfigError::Unhandled {
                url: url.to_string(),
                source,
            })?;
    }
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
                .map_err(|all| all.iter().map(ToString::to_string).collect())
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
        let change = policies.renew(files.built(&policies).unwrap());
        assert_eq!((change.policies, change.declared.len()), (1, 1));
        assert_eq!(change.declared[0].url.to_string(), "https://a.example.com");
        let after = policies.declared();
        let kept = |at: usize| {
            let pair = [&before[at], &after[at]].map(|one| one.policy.as_ref().map(Arc::as_ptr));
            pair[0] == pair[1]
        };
        assert!(!kept(0) && kept(1) && kept(2));
        let change = policies.renew(files.built(&policies).unwrap());
        assert!(change.declared.is_empty() && change.removed.is_empty());
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
            let change = policies.renew(files.built(&policies).unwrap());
            assert_eq!(change.policies, 1, "{entry}");
            let [changed] = change.declared.try_into().unwrap();
            assert_eq!(changed.policy.is_some(), entry.contains("policy"));
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
        let change = policies.renew(files.built(&policies).unwrap());
        assert_eq!((change.policies, change.declared.len()), (0, 1));
        assert_eq!(change.added, ["https://b.example.com"]);
        files.write("gateway.yaml", &other.replace("410", "418"));
        let change = policies.renew(files.built(&policies).unwrap());
        assert_eq!((change.policies, change.declared.len()), (1, 1));
    }

    #[test]
    fn endpoints_come_and_go_and_get_other_settings() {
        let files = Files::with(&[
            (
                "gateway.yaml",
                &gateway("- { url: a.example.com, traffic_policy_file: a.yaml }\n"),
            ),
            ("a.yaml", DENY),
        ]);
        let mut policies = files.built(&Policies::default()).unwrap();
        let mut renewed = |endpoints: &str| {
            files.write("gateway.yaml", &gateway(endpoints));
            policies.renew(files.built(&policies).unwrap())
        };
        let change = renewed("- { url: b.example.com }\n- { url: c.example.com:8443 }\n");
        assert_eq!(change.removed.len(), 1);
        assert_eq!(change.removed[0].to_string(), "https://a.example.com");
        assert_eq!(change.added.len(), 2);
        assert_eq!(change.policies, 1);
        let change =
            renewed("- { url: c.example.com }\n- { url: b.example.com, normalize_paths: true }\n");
        assert_eq!(change.altered, ["https://b.example.com"]);
        assert!(change.declared[0].normalize_paths && change.declared.len() == 1);
        let change =
            renewed("- { url: c.example.com, pool: { retries: 3 } }\n- { url: b.example.com }\n");
        assert_eq!(change.altered.len(), 2);
        assert_eq!(change.declared[0].pool.retries, 3);
        assert_eq!(
            (change.policies, change.added.len(), change.removed.len()),
            (0, 0, 0)
        );
    }
}
