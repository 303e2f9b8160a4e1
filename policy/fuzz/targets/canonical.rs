//! Any request target and any authority: its canonical form is its own canonical form, and holds nothing doubtful.
#![no_main]

use adit_policy::canonical::{Authority, Target, query_pairs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    for read in [Target::parse(text), Target::normalized(text)].into_iter().flatten() {
        let printed = read.to_string();
        let again = Target::parse(printed.as_bytes()).expect("what is canonical can be read");
        assert_eq!((again.path(), again.query()), (read.path(), read.query()));
        assert!(read.path().starts_with('/') && !read.path().contains('\\'));
        assert!(!read.path_segments().any(|segment| segment == ".." || segment == "."));
        query_pairs(read.query().unwrap_or_default()).for_each(drop);
    }
    if let Ok(read) = Authority::parse(text) {
        let again = Authority::parse(read.to_string().as_bytes());
        assert_eq!(again.as_ref(), Ok(&read));
    }
});
