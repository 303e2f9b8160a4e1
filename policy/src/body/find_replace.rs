//! Regular expressions on a whole body, and what takes the place of their matches.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use bytes::BytesMut;
use regex::bytes::Regex;

use super::{BodyFault, Transform, replacement::Replacement};

/// How much of a match's text is kept for result variables.
const MATCH_TEXT: usize = 64 * 1024;

/// Rules in order, each on what the one before has left. The patterns work on bytes and read them as UTF-8 where they
/// are UTF-8.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<(Regex, Replacement)>,
    cap: usize,
}

/// A rule that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which rule, counted from zero.
    pub rule: usize,
    /// The text of its first match, at most 64 KiB of it.
    pub text: String,
}

/// What became of a text.
#[derive(Debug)]
pub struct Replaced<'a> {
    /// The text after the last rule; borrowed if no rule changed it.
    pub text: Cow<'a, [u8]>,
    /// The rules that matched, in order.
    pub found: Vec<Found>,
}

/// Holds a whole body, then runs the rules on it.
#[derive(Debug)]
pub struct FindReplace {
    rules: Arc<Rules>,
    body: BytesMut,
    found: Arc<OnceLock<Vec<Found>>>,
}

// === impl Rules ===

impl Rules {
    /// `cap`: the largest text that is looked at, and the largest that a rule may make, in bytes.
    pub fn new(rules: Vec<(Regex, Replacement)>, cap: usize) -> Self {
        Self { rules, cap }
    }

    /// Runs the rules on a text.
    pub fn apply<'a>(&self, text: &'a [u8]) -> Result<Replaced<'a>, BodyFault> {
        if text.len() > self.cap {
            return Err(BodyFault::TooLarge);
        }
        let mut text = Cow::Borrowed(text);
        let mut found = Vec::new();
        for (rule, (pattern, to)) in self.rules.iter().enumerate() {
            let Some(first) = pattern.find(&text) else {
                continue;
            };
            let shown = first.as_bytes();
            let shown = shown.get(..MATCH_TEXT).unwrap_or(shown);
            found.push(Found {
                rule,
                text: String::from_utf8_lossy(shown).into_owned(),
            });
            text = Cow::Owned(self.replace_all(pattern, to, &text)?);
        }
        Ok(Replaced { text, found })
    }

    fn replace_all(
        &self,
        pattern: &Regex,
        to: &Replacement,
        text: &[u8],
    ) -> Result<Vec<u8>, BodyFault> {
        let mut changed = Changed {
            text,
            copied: 0,
            changed: Vec::with_capacity(text.len()),
            cap: self.cap,
        };
        if let Some(plain) = to.plain() {
            for found in pattern.find_iter(text) {
                changed.change(found.start(), found.end(), |onto| {
                    onto.extend_from_slice(plain.as_bytes());
                })?;
            }
        } else {
            for groups in pattern.captures_iter(text) {
                let whole = groups.get_match();
                changed.change(whole.start(), whole.end(), |onto| {
                    to.expand_bytes(&groups, onto);
                })?;
            }
        }
        changed.end()
    }
}

/// A text on its way to the next one.
struct Changed<'a> {
    text: &'a [u8],
    /// Up to here the old text is in the new one.
    copied: usize,
    changed: Vec<u8>,
    cap: usize,
}

impl Changed<'_> {
    fn change(
        &mut self,
        start: usize,
        end: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), BodyFault> {
        let between = self.text.get(self.copied..start).unwrap_or_default();
        self.changed.extend_from_slice(between);
        write(&mut self.changed);
        self.copied = end;
        self.within_cap()
    }

    fn end(mut self) -> Result<Vec<u8>, BodyFault> {
        let rest = self.text.get(self.copied..).unwrap_or_default();
        self.changed.extend_from_slice(rest);
        self.within_cap()?;
        Ok(self.changed)
    }

    fn within_cap(&self) -> Result<(), BodyFault> {
        if self.changed.len() > self.cap {
            return Err(BodyFault::TooLarge);
        }
        Ok(())
    }
}

// === impl FindReplace ===

impl FindReplace {
    /// `cap`: see [`Rules::new`].
    pub fn new(rules: Vec<(Regex, Replacement)>, cap: usize) -> Self {
        Self::with(Arc::new(Rules::new(rules, cap)))
    }

    /// The same with rules that many bodies share.
    pub fn with(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            body: BytesMut::new(),
            found: Arc::default(),
        }
    }

    /// Where the rules that matched will be told, once the body has ended.
    pub fn found(&self) -> Arc<OnceLock<Vec<Found>>> {
        Arc::clone(&self.found)
    }
}

impl Transform for FindReplace {
    fn push(&mut self, piece: &[u8], _: &mut BytesMut) -> Result<(), BodyFault> {
        if piece.len() > self.rules.cap.saturating_sub(self.body.len()) {
            return Err(BodyFault::TooLarge);
        }
        self.body.extend_from_slice(piece);
        Ok(())
    }

    fn end(&mut self, out: &mut BytesMut) -> Result<(), BodyFault> {
        let replaced = self.rules.apply(&self.body)?;
        out.extend_from_slice(&replaced.text);
        // Only this line tells, and a body ends once.
        drop(self.found.set(replaced.found));
        self.body = BytesMut::new();
        Ok(())
    }

    fn holds(&self) -> Option<usize> {
        Some(self.rules.cap)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::body::pieces::{cut, run};

    fn rules(rules: &[(&str, &str)]) -> Vec<(Regex, Replacement)> {
        let rule = |(from, to): &(&str, &str)| (Regex::new(from).unwrap(), Replacement::parse(to));
        rules.iter().map(rule).collect()
    }

    fn text(replaced: &Replaced<'_>) -> String {
        String::from_utf8(replaced.text.to_vec()).unwrap()
    }

    #[test]
    fn each_rule_works_on_what_the_one_before_has_left() {
        let rules = Rules::new(rules(&[("a", "b"), ("x", "y"), ("(b)(c)", "$2$1")]), 100);
        let replaced = rules.apply(b"ac bc").unwrap();
        assert_eq!(text(&replaced), "cb cb");
        let found = |rule, text: &str| Found {
            rule,
            text: text.into(),
        };
        assert_eq!(replaced.found, [found(0, "a"), found(2, "bc")]);
    }

    #[test]
    fn what_nothing_matches_is_not_copied() {
        let rules = Rules::new(rules(&[("z", "")]), 100);
        let replaced = rules.apply(b"abc").unwrap();
        assert!(matches!(replaced.text, Cow::Borrowed(_)));
        assert_eq!(replaced.found, []);
    }

    #[test]
    fn bytes_that_are_no_text_stay_as_they_are() {
        let rules = Rules::new(rules(&[("ö|p.x", "o")]), 100);
        let replaced = rules.apply(b"\xff\xc3\xb6\xfe p\xffx p\xc3\xb6x").unwrap();
        assert_eq!(&*replaced.text, b"\xffo\xfe p\xffx o");
    }

    #[test]
    fn neither_the_body_nor_what_becomes_of_it_may_outgrow_the_cap() {
        let small = Rules::new(rules(&[("a", "aa")]), 8);
        assert_eq!(text(&small.apply(b"aaaa").unwrap()), "aaaaaaaa");
        assert_eq!(small.apply(b"aaaab").unwrap_err(), BodyFault::TooLarge);
        assert_eq!(small.apply(b"bbbbbbbbb").unwrap_err(), BodyFault::TooLarge);
        let groups = Rules::new(rules(&[("(a+)", "$1$1$1")]), 8);
        assert_eq!(groups.apply(b"aaa").unwrap_err(), BodyFault::TooLarge);

        let mut transform = FindReplace::new(rules(&[("a", "")]), 4);
        assert_eq!(transform.holds(), Some(4));
        let mut out = BytesMut::new();
        transform.push(b"aaaa", &mut out).unwrap();
        assert_eq!(transform.push(b"a", &mut out), Err(BodyFault::TooLarge));
        assert!(out.is_empty(), "nothing leaves before the end");
    }

    #[test]
    fn the_matches_are_told_when_the_body_has_ended() {
        let mut transform = FindReplace::new(rules(&[("a+", "b")]), 100);
        let found = transform.found();
        assert!(found.get().is_none());
        let out = run(&mut transform, &[b"xa".to_vec(), b"aay".to_vec()]).unwrap();
        assert_eq!(out, b"xby");
        let told = found.get().unwrap();
        assert_eq!((told[0].rule, told[0].text.as_str()), (0, "aaa"));
    }

    proptest! {
        #[test]
        fn where_the_pieces_are_cut_makes_no_difference(
            body in "[abc\u{f6}]{0,60}",
            cuts in prop::collection::vec(0_usize..9, 0..9),
        ) {
            let rules = rules(&[("a(b+)", "<$1>"), ("ö|c{2}", ""), ("^", "!")]);
            let whole = Rules::new(rules.clone(), 1000);
            let expected = whole.apply(body.as_bytes()).unwrap().text.into_owned();
            let mut transform = FindReplace::new(rules, 1000);
            prop_assert_eq!(run(&mut transform, &cut(body.as_bytes(), &cuts)), Ok(expected));
        }
    }
}
