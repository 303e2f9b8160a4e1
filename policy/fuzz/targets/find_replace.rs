//! Any pattern, replacement and body: what comes out does not depend on where the body is cut.
#![no_main]

use adit_policy::body::find_replace::FindReplace;
use adit_policy::body::replacement::Replacement;
use adit_policy::body::{BodyFault, Transform};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use regex::bytes::RegexBuilder;

fuzz_target!(|parts: (&str, &str, &[u8], u8)| {
    let (pattern, replacement, body, cut) = parts;
    let Ok(pattern) = RegexBuilder::new(pattern).size_limit(1 << 16).build() else {
        return;
    };
    let run = |pieces: &[&[u8]]| -> Result<BytesMut, BodyFault> {
        let rules = vec![(pattern.clone(), Replacement::parse(replacement))];
        let mut transform = FindReplace::new(rules, 1 << 16);
        let mut out = BytesMut::new();
        for piece in pieces {
            transform.push(piece, &mut out)?;
        }
        transform.end(&mut out)?;
        Ok(out)
    };
    let (first, second) = body.split_at(usize::from(cut).min(body.len()));
    assert_eq!(run(&[body]), run(&[first, second]));
});
