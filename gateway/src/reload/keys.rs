//! Which settings of `gateway.yaml` differ between two texts of it, by their keys: values may be secrets.

use adit_policy::document;
use serde_yaml::Value;

/// What a reload applies and tells of in another way than by its key.
const TOLD: [&str; 4] = ["agents", "secrets", "endpoints", "tls.certificates"];

/// What a reload applies besides: each as a whole, or with the settings inside.
const APPLIED: [&str; 4] = ["limits", "trusted_proxies", "fetch", "region"];

/// Settings that differ and that a reload has applied.
pub(super) fn applied(used: &str, written: &str) -> Vec<String> {
    let mut keys = differing(used, written);
    keys.retain(|key| is_applied(key));
    keys
}

/// Settings that differ and wait for a restart.
pub(super) fn waiting(used: &str, written: &str) -> Vec<String> {
    let mut keys = differing(used, written);
    keys.retain(|key| !is_applied(key));
    keys
}

fn is_applied(key: &str) -> bool {
    let whole = key.split('.').next().unwrap_or(key);
    APPLIED.contains(&whole)
}

fn differing(used: &str, written: &str) -> Vec<String> {
    // Both texts were read as configurations before.
    let [Ok(used), Ok(written)] = [used, written].map(|text| document::read::<Value>("", text))
    else {
        return Vec::new();
    };
    let mut differing = Vec::new();
    for key in keys(&used, &written) {
        let (old, new) = (used.get(&key), written.get(&key));
        if old != new && !key.starts_with("x-") && !TOLD.contains(&key.as_str()) {
            differing.extend(inside(&key, old, new));
        }
    }
    differing.retain(|key| !TOLD.contains(&key.as_str()));
    differing
}

/// A map is many settings, and each has its own key.
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
listen: { https: \"[::]:443\" }
agents: [{ name: a, token_hash: \"sha256:secret\" }]
endpoints:
  - { url: https://a.example.com, traffic_policy_file: a.yaml }
";

    #[test]
    fn what_is_told_in_another_way_is_not_told_by_its_key() {
        for written in [
            USED.to_owned(),
            USED.replace("a.yaml", "other.yaml"),
            USED.replace("secret", "another"),
            USED.replace("a.example.com", "b.example.com"),
            format!("# a comment\n{USED}\nx-note: anything\n"),
            format!("{USED}\nsecrets: [{{ name: web, env: WEB_ }}]\n"),
            format!("{USED}\ntls: {{ certificates: [{{ cert: a, key: b }}] }}\n"),
        ] {
            assert!(differing(USED, &written).is_empty(), "{written}");
        }
    }

    #[test]
    fn each_setting_has_its_key_and_is_applied_or_waits() {
        for (written, told) in [
            (USED.replace("50", "51"), "limits.header_count"),
            (USED.replace("50 }", "50, sessions: 3 }"), "limits.sessions"),
            (
                USED.replace("limits: { header_count: 50 }", ""),
                "limits.header_count",
            ),
            (
                format!("{USED}trusted_proxies: [192.0.2.0/24]\n"),
                "trusted_proxies",
            ),
            (
                format!("{USED}fetch: {{ allow_private: true }}\n"),
                "fetch.allow_private",
            ),
            (format!("{USED}region: eu\n"), "region"),
        ] {
            assert_eq!(applied(USED, &written), [told]);
            assert!(waiting(USED, &written).is_empty(), "{written}");
        }
        for (written, told) in [
            (USED.replace("domain: example", "domain: sample"), "domain"),
            (USED.replace("443", "444"), "listen.https"),
            (format!("{USED}data_dir: /tmp\n"), "data_dir"),
            (format!("{USED}tls: {{ local_ca: true }}\n"), "tls.local_ca"),
            (format!("{USED}something_new: 1\n"), "something_new"),
        ] {
            assert_eq!(waiting(USED, &written), [told]);
            assert!(applied(USED, &written).is_empty(), "{written}");
        }
    }
}
