//! What holds for every canonical value, whatever the text it was read from.

use std::borrow::Cow;

use proptest::prelude::*;

use super::{Authority, Host, Target, percent};

/// Targets as attackers write them: few letters, many marks.
const PIECES: [&str; 33] = [
    "/", "/", "/", ".", "..", "a", "B", ";", "\\", "?", "&", "=", "+", "%2e", "%2E", "%2f", "%2F",
    "%5c", "%5C", "%3b", "%25", "%61", "%7E", "%c3%bc", "%00", "%0a", "%", "%4", "~", "..;",
    "..%2f", "%252e", "#",
];

fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(PIECES.as_slice()), 0..12)
}

fn target() -> impl Strategy<Value = String> {
    pieces().prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// Both readings of a text, as far as they read it.
fn readings(text: &str) -> impl Iterator<Item = Target<'_>> {
    [
        Target::parse(text.as_bytes()),
        Target::normalized(text.as_bytes()),
    ]
    .into_iter()
    .flatten()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_canonical_target_is_its_own_and_only_spelling(text in target()) {
        for read in readings(&text) {
            let printed = read.to_string();
            for again in [Target::parse(printed.as_bytes()), Target::normalized(printed.as_bytes())] {
                let again = again.unwrap();
                prop_assert_eq!(again.path(), read.path());
                prop_assert_eq!(again.query(), read.query());
                prop_assert!(again.is_as_received());
            }
        }
    }

    #[test]
    fn a_canonical_path_holds_nothing_that_services_disagree_about(text in target()) {
        for read in readings(&text) {
            let path = read.path();
            prop_assert!(path.starts_with('/') && !path.contains("//"), "{}", path);
            prop_assert!(!path.contains('\\') && !path.contains("%5C"), "{}", path);
            let decoded = percent::unescape(path).unwrap();
            let decoded = String::from_utf8_lossy(&decoded).replace('\\', "/");
            for segment in decoded.split('/') {
                let bare = segment.split(';').next().unwrap();
                prop_assert!(!matches!(bare, "." | ".."), "{}", path);
            }
            prop_assert!(!decoded.contains(['\0', '\r', '\n']), "{}", path);
        }
    }

    #[test]
    fn what_the_strict_reading_lets_through_the_other_reads_alike(text in target()) {
        if let Ok(strict) = Target::parse(text.as_bytes()) {
            prop_assert_eq!(Target::normalized(text.as_bytes()).unwrap(), strict);
        }
    }

    #[test]
    fn escaping_what_needs_no_escape_changes_nothing(pieces in pieces()) {
        // Half an escape would find its other half in the next piece.
        let whole = |piece: &&&str| !matches!(**piece, "%" | "%4");
        let escape = |piece: &str| match piece {
            "a" => "%61",
            "B" => "%42",
            "~" => "%7e",
            other => other,
        }.to_owned();
        let plain: String = pieces.iter().filter(whole).copied().collect();
        let escaped: String = pieces.iter().filter(whole).map(|piece| escape(piece)).collect();
        let path = |text: &str| Target::parse(format!("/{text}").as_bytes()).map(|read| read.path().to_owned());
        prop_assert_eq!(path(&escaped), path(&plain));
    }

    #[test]
    fn a_rewrite_gives_what_reading_gives(from in target(), to in target()) {
        for read in readings(&from) {
            match (read.rewritten(&to), Target::parse(to.as_bytes())) {
                (Ok(rewritten), Ok(parsed)) => {
                    prop_assert_eq!(rewritten.to_string(), parsed.to_string());
                    prop_assert_eq!(rewritten.raw(), from.as_str());
                }
                (rewritten, parsed) => {
                    prop_assert_eq!(rewritten.map(|_| ()), parsed.map(|_| ()));
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(read) = Target::parse(&bytes) {
            prop_assert_eq!(read.raw().as_bytes(), bytes.as_slice());
        }
        drop(Target::normalized(&bytes));
        drop(Authority::parse(&bytes));
        drop(percent::unescape_leniently(&String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn a_canonical_host_is_its_own_spelling(text in "[A-Za-z0-9.:\\[\\]_-]{1,20}") {
        if let Ok(read) = Authority::parse(text.as_bytes()) {
            let printed = read.to_string();
            let again = Authority::parse_borrowed(printed.as_bytes()).unwrap();
            prop_assert_eq!(again.host.as_ref(), read.host.as_str());
            prop_assert_eq!(again.port, read.port);
            prop_assert!(matches!(again.host, Cow::Borrowed(_)));
            prop_assert!(again.respelled(printed.as_bytes()).is_none());
        }
        if let Ok(host) = Host::parse(&text) {
            prop_assert_eq!(&Host::parse(host.as_str()).unwrap(), &host);
            prop_assert_eq!(Host::parse(&text.to_ascii_uppercase()).unwrap(), host);
        }
    }
}
