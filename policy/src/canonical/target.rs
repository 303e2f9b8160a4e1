//! A request target: the path in its one spelling, and the query as it came.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use super::path::{self, Doubts};
use crate::endpoint_url::Scheme;

/// What a request asks for. It cannot be changed; a rewrite gives a new one.
///
/// It borrows from the text it was read from, as far as that was canonical already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    path: Cow<'a, str>,
    query: Option<Cow<'a, str>>,
    raw: Cow<'a, str>,
}

/// A [`Target`] that owns its text.
pub type TargetBuf = Target<'static>;

/// A request target with a scheme and an authority (RFC 9112 §3.2.2), cut into its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsoluteForm<'a> {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Whom it names; for [`super::Authority::parse`].
    pub authority: &'a [u8],
    /// The same target in origin form; for [`Target::parse`].
    pub origin: &'a [u8],
}

/// Why a text is no request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadTarget {
    /// Absolute form, `*`, or nothing.
    #[error("the request target does not begin with `/`")]
    Form,
    /// Something that must be encoded.
    #[error("the request target holds a control byte, a space, `#` or a byte outside ASCII")]
    Byte,
    /// No service can be trusted to read it as another does.
    #[error("the path holds a `%` without two hexadecimal digits behind it")]
    Escape,
    /// Whoever decodes it has a name cut short or a line split in two.
    #[error("the path holds an encoded NUL, CR or LF")]
    Encoded,
    /// Some services take it for a slash.
    #[error("the path holds a backslash")]
    Backslash,
    /// Some services would resolve it and others would not.
    #[error("the path hides a `.`, `..` or empty segment behind an escape or a parameter")]
    HiddenDots,
    /// Some services would drop it and others would not.
    #[error("the path holds two slashes in a row")]
    Empty,
    /// There is nothing up there.
    #[error("the path leads above the root")]
    AboveRoot,
}

// === impl Target ===

impl<'a> Target<'a> {
    /// Reads a target in origin form. What services read in different ways is refused.
    pub fn parse(target: &'a [u8]) -> Result<Self, BadTarget> {
        Self::read(target, Doubts::Refused)
    }

    /// The same, but what services read in different ways is normalized, for endpoints whose operator wants that.
    pub fn normalized(target: &'a [u8]) -> Result<Self, BadTarget> {
        Self::read(target, Doubts::Normalized)
    }

    fn read(target: &'a [u8], doubts: Doubts) -> Result<Self, BadTarget> {
        if target.first() != Some(&b'/') {
            return Err(BadTarget::Form);
        }
        let shown = |so_far, byte: &u8| so_far & byte.is_ascii_graphic() & (*byte != b'#');
        if !target.iter().fold(true, shown) {
            return Err(BadTarget::Byte);
        }
        let raw = std::str::from_utf8(target).map_err(|_| BadTarget::Byte)?;
        let (path, query) = cut(raw);
        Ok(Self {
            path: path::canonical(path, doubts)?,
            query: query.map(Cow::Borrowed),
            raw: Cow::Borrowed(raw),
        })
    }

    /// The canonical path. Begins with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The parts of the path between its slashes. A slash at the end shows as an empty last segment.
    ///
    /// A prefix is a run of whole segments: `/api` is none of `/apiary`, nor of `/api%2Fx`.
    pub fn path_segments(&self) -> impl Iterator<Item = &str> {
        path::segments(&self.path)
    }

    /// As it came, without the `?`; `None` if there is no `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Path and query as they were received, however often they have been rewritten since.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The path as it was received.
    pub fn raw_path(&self) -> &str {
        cut(&self.raw).0
    }

    /// Whether the canonical text is the received text.
    pub fn is_as_received(&self) -> bool {
        let (path, query) = cut(&self.raw);
        *self.path == *path && self.query.as_deref() == query
    }

    /// The same target, saying that it was received as `raw`: for what was respelled before it got here.
    pub fn received_as(self, raw: &'a str) -> Self {
        Self {
            raw: Cow::Borrowed(raw),
            ..self
        }
    }

    /// Another target in the place of this one. It obeys the same rules, and [`Target::raw`] stays.
    pub fn rewritten(&self, to: &str) -> Result<TargetBuf, BadTarget> {
        let Target { path, query, .. } = Target::parse(to.as_bytes())?;
        Ok(Target {
            path: owned(path),
            query: query.map(owned),
            raw: owned(Cow::Borrowed(&self.raw)),
        })
    }

    /// The same with a text of its own.
    pub fn into_owned(self) -> TargetBuf {
        Target {
            path: owned(self.path),
            query: self.query.map(owned),
            raw: owned(self.raw),
        }
    }
}

/// Path and query, as a request line has them.
impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        self.query
            .as_ref()
            .map_or(Ok(()), |query| write!(f, "?{query}"))
    }
}

fn cut(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

// === impl BadTarget ===

impl BadTarget {
    /// Whether [`Target::normalized`] would have read it.
    pub fn can_be_normalized(self) -> bool {
        matches!(
            self,
            Self::Backslash | Self::HiddenDots | Self::Empty | Self::AboveRoot
        )
    }
}

// === impl AbsoluteForm ===

impl<'a> AbsoluteForm<'a> {
    /// Cuts a target of the form `http://host/path`. `None` if it is not one, or has a query and no path.
    pub fn read(target: &'a [u8]) -> Option<Self> {
        let after = |scheme: &[u8]| {
            let (head, rest) = target.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let (scheme, rest) = match (after(b"http://"), after(b"https://")) {
            (Some(rest), _) => (Scheme::Http, rest),
            (_, Some(rest)) => (Scheme::Https, rest),
            _ => return None,
        };
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
        let (authority, origin) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        let origin = match origin.first() {
            None => b"/",
            Some(b'/') => origin,
            Some(_) => return None,
        };
        Some(Self {
            scheme,
            authority,
            origin,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target<'_> {
        Target::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str) -> BadTarget {
        Target::parse(text.as_bytes()).unwrap_err()
    }

    /// What takes a public prefix off must do: segment by segment.
    fn stripped<'a>(target: &'a Target<'_>, prefix: &str) -> Option<TargetBuf> {
        let mut segments = target.path_segments();
        if segments.next() != Some(prefix) {
            return None;
        }
        let rest: Vec<&'a str> = segments.collect();
        target.rewritten(&format!("/{}", rest.join("/"))).ok()
    }

    #[test]
    fn a_target_is_cut_at_its_first_question_mark() {
        let with = target("/a?b?c");
        assert_eq!((with.path(), with.query()), ("/a", Some("b?c")));
        assert_eq!(target("/").query(), None);
        assert_eq!(target("/?").query(), Some(""));
        assert_eq!(target("/?").to_string(), "/?");
    }

    #[test]
    fn the_received_text_is_kept_beside_the_canonical_one() {
        let respelled = target("/%61/../b?%61");
        assert_eq!(respelled.to_string(), "/b?%61");
        assert_eq!(respelled.raw(), "/%61/../b?%61");
        assert_eq!(respelled.raw_path(), "/%61/../b");
        assert!(!respelled.is_as_received());
        let rewritten = respelled.rewritten("/c").unwrap();
        assert_eq!(
            (rewritten.to_string().as_str(), rewritten.raw()),
            ("/c", "/%61/../b?%61")
        );
        assert!(target("/b?%61").is_as_received());
        assert_eq!(target("/b").received_as("/%62").raw(), "/%62");
    }

    #[test]
    fn a05_a07_a_target_with_a_hidden_byte_or_another_form_is_refused() {
        for text in ["", "*", "http://evil/", "admin", "?x"] {
            assert_eq!(refused(text), BadTarget::Form, "{text}");
        }
        for text in [
            "/a#b", "/a b", "/a\r\nb", "/a\0", "/\u{7f}", "/ü", "/a\tb", "/?ü", "/?a#b", "/?a b",
        ] {
            assert_eq!(refused(text), BadTarget::Byte, "{text:?}");
        }
        assert_eq!(refused("/%0D?x"), BadTarget::Encoded);
        for text in [
            "/?%00",
            "/a?b=%0d%0a",
            "/%09",
            "/%250a",
            "/?%zz",
            "/?a\\b/../c//d",
        ] {
            assert!(target(text).is_as_received(), "{text:?}");
        }
    }

    #[test]
    fn a03_a04_a_prefix_is_whole_segments_however_it_was_spelled() {
        let strip = |text: &str| {
            let target = target(text);
            stripped(&target, "api").map(|rest| rest.to_string())
        };
        assert_eq!(strip("/api/x").as_deref(), Some("/x"));
        assert_eq!(strip("/%61pi/x").as_deref(), Some("/x"));
        assert_eq!(strip("/api").as_deref(), Some("/"));
        for text in ["/api../admin", "/api%2e%2e/admin", "/api%2fx", "/apiary/x"] {
            assert_eq!(strip(text), None, "{text}");
        }
        assert_eq!(refused("/api/..%2fadmin"), BadTarget::HiddenDots);
        assert_eq!(strip("/api/../admin"), None);
    }

    #[test]
    fn a05_d_a_rewrite_obeys_the_same_rules() {
        let from = target("/");
        for (to, mistake) in [
            ("/a\r\nX-Evil: 1", BadTarget::Byte),
            ("/a%0d%0ab", BadTarget::Encoded),
            ("/a\0", BadTarget::Byte),
            ("//evil.example/", BadTarget::Empty),
            ("http://evil.example/", BadTarget::Form),
            ("/public/..%2fadmin", BadTarget::HiddenDots),
            ("", BadTarget::Form),
        ] {
            assert_eq!(from.rewritten(to), Err(mistake), "{to:?}");
        }
        assert_eq!(from.rewritten("/a/../%62?c").unwrap().to_string(), "/b?c");
    }

    #[test]
    fn a09_a_bypass_for_one_path_fits_no_other() {
        let bypasses = |text: &str| {
            Target::parse(text.as_bytes()).is_ok_and(|target| target.path() == "/healthz")
        };
        assert!(bypasses("/healthz"));
        assert!(bypasses("/%68ealthz?x"));
        for text in [
            "/admin?x=/healthz",
            "/admin#/healthz",
            "/admin/healthz",
            "/healthz/../admin",
            "/healthz/..%2fadmin",
            "/healthz%2f..%2fadmin",
            "/healthz;/../admin",
            "/healthz/",
        ] {
            assert!(!bypasses(text), "{text}");
        }
    }

    #[test]
    fn a07_an_absolute_form_is_cut_into_its_parts() {
        let read = |text: &'static str| {
            AbsoluteForm::read(text.as_bytes()).map(|form| {
                let text = |bytes| std::str::from_utf8(bytes).unwrap();
                (form.scheme, text(form.authority), text(form.origin))
            })
        };
        assert_eq!(read("http://a:1/b?c"), Some((Scheme::Http, "a:1", "/b?c")));
        assert_eq!(read("HTTPS://a"), Some((Scheme::Https, "a", "/")));
        assert_eq!(read("http:///b"), Some((Scheme::Http, "", "/b")));
        assert_eq!(read("http://a\\@b/c"), Some((Scheme::Http, "a\\@b", "/c")));
        for text in ["/http://a/", "http:/a", "ftp://a/", "a", "*", "http://a?b"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
