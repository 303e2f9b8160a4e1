//! Which changes of `gateway.yaml` a reload does not apply.

use adit_policy::document;
use serde_yaml::Value;

/// What a reload applies as a whole.
const APPLIED: [&str; 2] = ["agents", "secrets"];

/// What a reload applies, of an endpoint.
const RELOADED: [&str; 2] = ["traffic_policy", "traffic_policy_file"];

/// The settings that differ between two texts of `gateway.yaml` and wait for a restart, by their keys:
/// values may be secrets. Empty if there are none.
pub(super) fn waiting(used: &str, written: &str) -> Vec<String> {
    // Both texts were read as configurations before.
    let [Ok(used), Ok(written)] = [used, written].map(|text| document::read::<Value>("", text))
    else {
        return Vec::new();
    };
    let mut waiting = Vec::new();
    for key in keys(&used, &written) {
        let (old, new) = (used.get(&key), written.get(&key));
        if APPLIED.contains(&key.as_str()) {
            continue;
        }
        if key == "endpoints" {
            waiting.extend(endpoints(old, new));
        } else if old != new && !key.starts_with("x-") {
            waiting.extend(inside(&key, old, new));
        }
    }
    waiting
}

/// `limits` is many settings, and each has its own name.
fn inside(key: &str, old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let nothing = Value::Mapping(serde_yaml::Mapping::new());
    let (old, new) = (old.unwrap_or(&nothing), new.unwrap_or(&nothing));
    if !(old.is_mapping() && new.is_mapping()) {
        return vec![key.to_owned()];
    }
    let parts = keys(old, new).into_iter();
    parts
        .filter(|part| old.get(part) != new.get(part))
        .map(|part| format!("{key}.{part}"))
        .collect()
}

fn endpoints(old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let (old, new) = (by_url(old), by_url(new));
    let mut waiting = Vec::new();
    for (url, entry) in &old {
        if !new
            .iter()
            .any(|other| other == &(url.clone(), entry.clone()))
        {
            waiting.push(format!("endpoints ({url})"));
        }
    }
    for (url, _) in &new {
        if !old.iter().any(|(other, _)| other == url) {
            waiting.push(format!("endpoints ({url})"));
        }
    }
    waiting
}

/// Entries without what a reload applies.
fn by_url(list: Option<&Value>) -> Vec<(String, Value)> {
    let entries = list.and_then(Value::as_sequence).into_iter().flatten();
    let mut found = Vec::new();
    for entry in entries {
        let url = entry.get("url").and_then(Value::as_str).unwrap_or_default();
        let mut entry = entry.clone();
        if let Some(map) = entry.as_mapping_mut() {
            map.retain(|key, _| !key.as_str().is_some_and(|key| RELOADED.contains(&key)));
        }
        found.push((url.to_owned(), entry));
    }
    found
}

/// The keys of two maps, each once, those of the first one first.
fn keys(one: &Value, other: &Value) -> Vec<String> {
    let mut keys = Vec::new();
    let maps = [one, other].into_iter().filter_map(Value::as_mapping);
    for key in maps.flat_map(|map| map.keys().filter_map(Value::as_str)) {
        if !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    const USED: &str = "
domain: example.com
limits: { header_count: 50 }
agents: [{ name: a, token_hash: \"sha256:secret\" }]
endpoints:
  - { url: https://a.example.com, traffic_policy_file: a.yaml }
  - { url: https://b.example.com }
";

    #[test]
    fn what_a_reload_applies_needs_no_restart() {
        assert!(waiting(USED, USED).is_empty());
        for written in [
            USED.replace("a.yaml", "other.yaml"),
            USED.replace("secret", "another"),
            USED.replace("b.example.com }", "b.example.com, traffic_policy: {} }"),
            format!("# a comment\n{USED}\nx-note: anything\n"),
            format!("{USED}\nsecrets: [{{ name: web, env: WEB_ }}]\n"),
        ] {
            assert!(waiting(USED, &written).is_empty(), "{written}");
        }
    }

    #[test]
    fn everything_else_is_told_by_its_key_and_without_its_value() {
        for (written, told) in [
            (USED.replace("domain: example", "domain: sample"), "domain"),
            (USED.replace("50", "51"), "limits.header_count"),
            (USED.replace("50 }", "50, sessions: 3 }"), "limits.sessions"),
            (
                USED.replace("limits: { header_count: 50 }", ""),
                "limits.header_count",
            ),
            (
                USED.replace("  - { url: https://b.example.com }\n", ""),
                "endpoints (https://b.example.com)",
            ),
            (
                format!("{USED}  - {{ url: https://c.example.com }}\n"),
                "endpoints (https://c.example.com)",
            ),
            (
                USED.replace("b.example.com }", "b.example.com, pool: none }"),
                "endpoints (https://b.example.com)",
            ),
            (format!("{USED}tls: {{ local_ca: true }}\n"), "tls.local_ca"),
        ] {
            assert_eq!(waiting(USED, &written), [told]);
        }
    }
}
