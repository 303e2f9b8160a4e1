//! A path in its one spelling; the module above says which and why.

use std::borrow::Cow;

use super::percent;
use super::target::BadTarget;

/// What becomes of a path that services read in different ways.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubts {
    Refused,
    Normalized,
}

/// Reads a path that begins with `/` and holds nothing but visible ASCII without `?` and `#`.
///
/// It allocates only if the path was spelled in another way.
pub(super) fn canonical(path: &str, doubts: Doubts) -> Result<Cow<'_, str>, BadTarget> {
    if is_plain(path.as_bytes()) || is_canonical(path) {
        return Ok(Cow::Borrowed(path));
    }
    let path = match doubts {
        Doubts::Refused if path.contains('\\') => return Err(BadTarget::Backslash),
        Doubts::Refused => Cow::Borrowed(path),
        Doubts::Normalized => with_slashes(path),
    };
    let mut resolved = Resolved::default();
    let mut segments = segments(&path).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let spelled = respelled(segment)?;
        let hides = !is_dots(segment) && hides(&spelled, last);
        match doubts {
            Doubts::Refused if hides => return Err(BadTarget::HiddenDots),
            Doubts::Refused if segment.is_empty() && !last => return Err(BadTarget::Empty),
            _ if !hides => resolved.step(&spelled, doubts)?,
            _ => {
                for piece in spelled.split("%2F") {
                    resolved.step(laid_bare(piece), doubts)?;
                }
            }
        }
    }
    Ok(Cow::Owned(resolved.into_path()))
}

/// The parts between slashes, without the nothing before the first.
pub(super) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// Whether a glance is enough, as it is for most paths: no escape, no backslash, no `;`, no empty segment, and none
/// that begins with a dot.
fn is_plain(path: &[u8]) -> bool {
    // No way out in the middle: so the compiler looks at many bytes in one step.
    let mark = |seen, byte: &u8| seen | matches!(byte, b'%' | b'\\' | b';');
    let doubt =
        |seen, (slash, next): (&u8, &u8)| seen | (*slash == b'/' && matches!(next, b'/' | b'.'));
    let pairs = path.iter().zip(path.iter().skip(1));
    !path.iter().fold(false, mark) && !pairs.fold(false, doubt)
}

/// Whether [`canonical`] would change or refuse nothing.
fn is_canonical(path: &str) -> bool {
    let mut segments = segments(path).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let named = !matches!(segment, "" | "." | "..") && !hides(segment, last);
        if !(named || last && segment.is_empty()) || !is_spelled_well(segment) {
            return false;
        }
    }
    true
}

/// Whether every escape is one, is needed, is allowed, and is in upper case.
fn is_spelled_well(segment: &str) -> bool {
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match first {
            b'\\' => return false,
            b'%' => {
                let Some((byte, behind)) = percent::first_escape(rest) else {
                    return false;
                };
                let lower = after.iter().take(2).any(u8::is_ascii_lowercase);
                if lower || percent::is_unreserved(byte) || is_poison(byte) || byte == b'\\' {
                    return false;
                }
                behind
            }
            _ => after,
        };
    }
    true
}

/// What no path may stand for, not even encoded.
fn is_poison(byte: u8) -> bool {
    matches!(byte, 0 | b'\r' | b'\n')
}

/// Unreserved bytes without their escapes, all other escapes in upper case.
fn respelled(segment: &str) -> Result<String, BadTarget> {
    let mut spelled = String::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match (first, percent::first_escape(rest)) {
            (b'%', None) => return Err(BadTarget::Escape),
            (b'%', Some((byte, _))) if is_poison(byte) => return Err(BadTarget::Encoded),
            (b'%', Some((b'\\', _))) => return Err(BadTarget::Backslash),
            (b'%', Some((byte, behind))) => {
                match percent::is_unreserved(byte) {
                    true => spelled.push(char::from(byte)),
                    false => percent::push_escape(&mut spelled, byte),
                }
                behind
            }
            (byte, _) => {
                spelled.push(char::from(*byte));
                after
            }
        };
    }
    Ok(spelled)
}

/// Backslashes as the slashes that some services take them for.
fn with_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains(['\\', '%']) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(
        path.replace('\\', "/")
            .replace("%5C", "/")
            .replace("%5c", "/"),
    )
}

/// What is left of a segment for a service that cuts parameters off. `%3B` is `;` for one that decodes first.
fn bare(segment: &str) -> &str {
    let end = [segment.find(';'), segment.find("%3B")];
    let end = end.into_iter().flatten().min();
    end.and_then(|end| segment.get(..end)).unwrap_or(segment)
}

/// Whether a respelled segment is, or holds, a dot segment for a service that decodes or cuts before it splits, or is
/// an empty one before the last.
fn hides(segment: &str, last: bool) -> bool {
    if !segment.bytes().any(|byte| matches!(byte, b'%' | b';')) {
        return is_dots(segment);
    }
    let nothing = !last && !segment.is_empty() && bare(segment).is_empty();
    nothing || segment.split("%2F").any(|piece| is_dots(bare(piece)))
}

/// A piece as such a service resolves it.
fn laid_bare(piece: &str) -> &str {
    match bare(piece) {
        dots @ ("" | "." | "..") => dots,
        _ => piece,
    }
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// The segments so far, dot segments resolved.
#[derive(Default)]
struct Resolved {
    names: Vec<String>,
    /// Whether the last step leaves a slash at the end.
    open: bool,
}

// === impl Resolved ===

impl Resolved {
    fn step(&mut self, segment: &str, doubts: Doubts) -> Result<(), BadTarget> {
        self.open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." if self.names.pop().is_some() || doubts == Doubts::Normalized => {}
            ".." => return Err(BadTarget::AboveRoot),
            name => self.names.push(name.to_owned()),
        }
        Ok(())
    }

    fn into_path(self) -> String {
        let mut path = String::new();
        for name in &self.names {
            path.push('/');
            path.push_str(name);
        }
        if self.open || path.is_empty() {
            path.push('/');
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(path: &str) -> Result<Cow<'_, str>, BadTarget> {
        canonical(path, Doubts::Refused)
    }

    fn normalized(path: &str) -> Result<Cow<'_, str>, BadTarget> {
        canonical(path, Doubts::Normalized)
    }

    #[test]
    fn a_canonical_path_is_borrowed_by_both() {
        for path in [
            "/",
            "/a/b.c/",
            "/.well-known/acme",
            "/...",
            "/a..b/..c/d..",
            "/a%2Fb",
            "/https%3A%2F%2Fexample.com%2F",
            "/%2Fadmin",
            "/a;b=c/d;e",
            "/;jsessionid=1",
            "/%252e%252e%252fadmin",
            "/a%20b%C3%BC%09%25",
            "/{x}|^\"",
        ] {
            assert!(matches!(strict(path), Ok(Cow::Borrowed(_))), "{path}");
            assert!(matches!(normalized(path), Ok(Cow::Borrowed(_))), "{path}");
        }
    }

    #[test]
    fn spellings_that_mean_the_same_become_one() {
        for (path, expected) in [
            ("/%61dmi%6E", "/admin"),
            ("/a%2fb%c3%bc", "/a%2Fb%C3%BC"),
            ("/public/../admin", "/admin"),
            ("/./a/./b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/a/..", "/"),
            ("/a/../../b", "/b"),
            ("/%7euser/%2D%5f", "/~user/-_"),
            ("/a%2Fb/../c", "/c"),
        ] {
            assert_eq!(normalized(path).as_deref(), Ok(expected), "{path}");
            if path != "/a/../../b" {
                assert_eq!(strict(path).as_deref(), Ok(expected), "{path}");
            }
        }
    }

    #[test]
    fn a01_a02_what_services_read_differently_is_refused_or_normalized() {
        use BadTarget::{AboveRoot, Backslash, Empty, HiddenDots};
        for (path, mistake, expected) in [
            ("/public/..%2fadmin", HiddenDots, "/admin"),
            ("/public/%2e%2e/admin", HiddenDots, "/admin"),
            ("/public/%2E./admin", HiddenDots, "/admin"),
            ("/public/..;/admin", HiddenDots, "/admin"),
            ("/public/..;x=y/admin", HiddenDots, "/admin"),
            ("/public/..%3bx/admin", HiddenDots, "/admin"),
            ("/public/%2e%2e;/admin", HiddenDots, "/admin"),
            ("/public/x%2f..%2f..%2fadmin", HiddenDots, "/admin"),
            ("/a/%2e", HiddenDots, "/a/"),
            ("/a/.;x", HiddenDots, "/a/"),
            ("/a%2f..", HiddenDots, "/"),
            ("/;x/admin", HiddenDots, "/admin"),
            ("/public/..\\admin", Backslash, "/admin"),
            ("/public/..%5cadmin", Backslash, "/admin"),
            ("/public\\..\\admin", Backslash, "/admin"),
            ("/\\admin", Backslash, "/admin"),
            ("//admin", Empty, "/admin"),
            ("///admin", Empty, "/admin"),
            ("/a//b/", Empty, "/a/b/"),
            ("/a//", Empty, "/a/"),
            ("//", Empty, "/"),
            ("/..", AboveRoot, "/"),
            ("/a/../../admin", AboveRoot, "/admin"),
        ] {
            assert_eq!(strict(path), Err(mistake), "{path}");
            assert_eq!(normalized(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn a05_what_has_no_spelling_is_refused_by_both() {
        for (mistake, paths) in [
            (
                BadTarget::Encoded,
                ["/%00", "/a%0d%0ab", "/a/%0A", "/%0D", "/.%00./x"],
            ),
            (BadTarget::Escape, ["/%", "/%4", "/%zz", "/%%41", "/a%2/b"]),
        ] {
            for path in paths {
                assert_eq!(strict(path), Err(mistake), "{path}");
                assert_eq!(normalized(path), Err(mistake), "{path}");
            }
        }
    }
}
