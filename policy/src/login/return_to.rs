//! Where a browser comes back to when somebody has signed in: a path on the same host, and nothing else.

use crate::canonical::percent;
use crate::exchange::Request;

/// Longest path with its query in bytes; of a longer one the query goes, and if that is not enough, it is `/`.
const LENGTH_MAX: usize = 1_024;

/// A path and its query on the host of the request. It can stand in a `location` line as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReturnTo(String);

impl ReturnTo {
    /// Where a request was going, before any rule gave it another target.
    pub(super) fn of(request: &Request<'_>) -> Self {
        Self::read(request.target.raw())
    }

    /// What a stranger says. What is not a path on this host, or could be read as anything else by any browser or
    /// service, is `/`; so are the paths at which the gateway itself signs people in and out.
    pub(super) fn read(text: &str) -> Self {
        Self::lawful(text).unwrap_or_else(|| Self("/".to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn lawful(text: &str) -> Option<Self> {
        let end = text.find(['?', '#']).unwrap_or(text.len());
        let (path, _) = text.split_at_checked(end)?;
        if !is_path(path) || text.contains('\\') || text.chars().any(char::is_control) {
            return None;
        }
        let shortened = if text.len() > LENGTH_MAX { path } else { text };
        let written = percent::escape_unless(shortened, |byte| byte.is_ascii_graphic());
        (written.len() <= LENGTH_MAX).then_some(Self(written))
    }
}

/// Whether a path, read as it is and read with its escapes undone, begins with one slash and is plain.
fn is_path(path: &str) -> bool {
    let is_plain = |bytes: &[u8]| {
        let one_slash = bytes.first() == Some(&b'/') && bytes.get(1) != Some(&b'/');
        let shown = |byte: &u8| !byte.is_ascii_control() && *byte != b'\\';
        one_slash && bytes.iter().all(shown)
    };
    let undone = percent::unescape_leniently(path);
    let is_own = |own: &&str| undone.as_ref() == own.as_bytes();
    is_plain(path.as_bytes()) && is_plain(&undone) && !super::paths::ALL.iter().any(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a35_only_a_path_on_the_same_host_is_kept() {
        for foreign in [
            "//evil",
            "///evil",
            "/\\evil",
            "\\\\evil",
            "https:evil",
            "https://good@evil",
            "https://other.example.com/",
            "/%09/evil",
            "/\t/evil",
            "/%0d%0aset-cookie:a=b",
            "/%2Fevil",
            "/%5Cevil",
            "/a\\..\\b",
            "evil",
            "",
            "javascript:alert(1)",
            " /a",
            "/a\nb",
            "/\u{85}/a",
            "/adit/logout",
            "/adit/login?redirect_path=/",
            "/%61dit/logout",
            "/ngrok/logout",
        ] {
            assert_eq!(ReturnTo::read(foreign).as_str(), "/", "{foreign}");
        }
    }

    #[test]
    fn a_path_and_its_query_are_kept() {
        for own in [
            "/",
            "/a/b?c=d&e=%0A#f",
            "/a//b",
            "/a%20b",
            "/@x",
            "/a:b",
            "/adit/other",
        ] {
            assert_eq!(ReturnTo::read(own).as_str(), own);
        }
        assert_eq!(ReturnTo::read("/ü b").as_str(), "/%C3%BC%20b");
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let long = format!("/a?b={}", "c".repeat(LENGTH_MAX));
        assert_eq!(ReturnTo::read(&long).as_str(), "/a");
        let longer = format!("/{}", "c".repeat(LENGTH_MAX));
        assert_eq!(ReturnTo::read(&longer).as_str(), "/");
    }
}
