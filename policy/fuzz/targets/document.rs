//! Any text: a policy is read or refused, and every mistake can be printed.
#![no_main]

use adit_policy::Policy;
use adit_policy::env::Env;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Policy::load("policy.yaml", text, &Env::system()) {
        assert!(!error.to_string().is_empty());
    }
});
