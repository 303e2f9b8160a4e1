//! What files say besides what endpoints take over while they are online, so that a change of it can be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use adit_policy::document;
use serde_yaml::Value;

/// What an endpoint takes over while it is online; everything else waits for a restart.
const TAKEN_OVER: [&str; 5] = [
    "traffic_policy",
    "traffic_policy_file",
    "weight",
    "tier",
    "metadata",
];

/// Every setting of some files by its place, those left out that endpoints take over. Values may be secrets, so they are only compared.
#[derive(Clone, Default)]
pub struct Written(BTreeMap<Place, Value>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    endpoint: Option<String>,
    key: String,
}

// === impl Written ===

impl Written {
    /// The settings that differ in what is written now, by their keys; of endpoints only those that `chosen` wants.
    pub fn differing(&self, now: &Self, chosen: impl Fn(&str) -> bool) -> Vec<String> {
        let places: BTreeSet<_> = self.0.keys().chain(now.0.keys()).collect();
        let differing = places.into_iter().filter(|place| {
            place.endpoint.as_deref().is_none_or(&chosen) && self.0.get(place) != now.0.get(place)
        });
        let labels: BTreeSet<_> = differing
            .map(|place| match &place.endpoint {
                Some(name) if self.knows(name) && now.knows(name) => {
                    format!("{} of endpoint \"{name}\"", place.key)
                }
                Some(name) => format!("endpoint \"{name}\""),
                None => place.key.clone(),
            })
            .collect();
        labels.into_iter().collect()
    }

    /// Adds a file, which wins over those before it.
    pub(super) fn add(&mut self, text: &str) {
        // It was read as a configuration before.
        let Ok(file) = document::read::<Value>("", text) else {
            return;
        };
        for (key, value) in fields(file.get("agent")) {
            self.set(None, format!("agent.{key}"), value);
        }
        let endpoints = file.get("endpoints").and_then(Value::as_sequence);
        for entry in endpoints.into_iter().flatten() {
            let Some(name) = entry.get("name").and_then(Value::as_str) else {
                continue;
            };
            for (key, value) in fields(Some(entry)) {
                match key {
                    "upstream" => fields(Some(value)).for_each(|(key, value)| {
                        self.set(Some(name), format!("upstream.{key}"), value);
                    }),
                    key if TAKEN_OVER.contains(&key) => {}
                    key => self.set(Some(name), key.to_owned(), value),
                }
            }
        }
    }

    fn set(&mut self, endpoint: Option<&str>, key: String, value: &Value) {
        let endpoint = endpoint.map(str::to_owned);
        self.0.insert(Place { endpoint, key }, value.clone());
    }

    fn knows(&self, endpoint: &str) -> bool {
        self.0.contains_key(&Place {
            endpoint: Some(endpoint.to_owned()),
            key: "name".to_owned(),
        })
    }
}

fn fields(value: Option<&Value>) -> impl Iterator<Item = (&str, &Value)> {
    let fields = value.and_then(Value::as_mapping).into_iter().flatten();
    fields.filter_map(|(key, value)| Some((key.as_str()?, value)))
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USED: &str = "
version: 3
agent: { authtoken: adit_secret, log_level: info }
endpoints:
  - { name: web, upstream: { url: 3000 }, traffic_policy_file: web.yaml }
  - { name: api, upstream: { url: 4000 } }
";

    fn differing(now: &str) -> Vec<String> {
        let [used, now] = [USED, now].map(|text| {
            let mut written = Written::default();
            written.add(text);
            written
        });
        used.differing(&now, |name| name != "unwanted")
    }

    #[test]
    fn policies_and_weights_may_change_and_everything_else_is_told_by_its_key() {
        for (from, to, told) in [
            ("web.yaml", "other.yaml", &[][..]),
            (
                ", traffic_policy_file: web.yaml",
                ", traffic_policy: {}",
                &[],
            ),
            ("adit_secret", "adit_other", &["agent.authtoken"]),
            (", log_level: info", "", &["agent.log_level"]),
            ("3000", "3001", &["upstream.url of endpoint \"web\""]),
            ("api", "new", &["endpoint \"api\"", "endpoint \"new\""]),
            (
                "name: api,",
                "name: api, pooling_enabled: true,",
                &["pooling_enabled of endpoint \"api\""],
            ),
            (
                "{ url: 4000 }",
                "{ url: 4000, health_check: tcp }",
                &["upstream.health_check of endpoint \"api\""],
            ),
            (
                "name: api,",
                "name: api, weight: 5, tier: 1, metadata: new,",
                &[],
            ),
            (
                "endpoints:",
                "endpoints:\n  - { name: unwanted, upstream: { url: 1 } }",
                &[],
            ),
        ] {
            let now = USED.replace(from, to);
            assert_ne!(now, USED);
            assert_eq!(differing(&now), told, "{now}");
        }
    }
}
