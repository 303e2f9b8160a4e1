//! Any text with `${…}`: what is cut out of it is compiled or refused, and a text without `$` stays as it is.
#![no_main]

use adit_policy::Policy;
use adit_policy::env::Env;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let policy = serde_json::json!({ "on_http_request": [{ "actions": [
        { "type": "custom-response", "config": { "body": text } }
    ] }] });
    let loaded = Policy::load("policy.json", &policy.to_string(), &Env::system());
    // YAML takes fewer control characters than JSON, even between quotes.
    let plain = text.chars().all(|letter| letter != '$' && !letter.is_control() && letter != '\u{feff}');
    if plain && text.len() < 1000 {
        assert!(loaded.is_ok(), "{:?}", loaded.err());
    }
});
