//! URLs that are fetched, and what a `location` means relative to one (RFC 3986 §5).

use std::fmt;

use crate::canonical::Authority;
use crate::expr::FromText;

/// An absolute http or https URL. The host is canonical; the rest stands as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FetchUrl {
    https: bool,
    authority: Authority,
    /// Path and query.
    target: String,
}

// === impl FetchUrl ===

impl FetchUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // A backslash is a slash to some, and so another host would begin or end there.
        let sound = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        if !text.bytes().all(sound) {
            return Err("it holds a byte that must be escaped".to_owned());
        }
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("it does not begin with http:// or https://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            other => return Err(format!("scheme `{other}` is not http or https")),
        };
        let (rest, _fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let authority = Authority::parse(authority.as_bytes()).map_err(|bad| bad.to_string())?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            https,
            authority,
            target: format!("{slash}{target}"),
        })
    }

    /// The same with more pairs at the end of the query.
    pub(crate) fn with_query(mut self, pairs: &str) -> Self {
        if !pairs.is_empty() {
            let sign = match self.target.split_once('?') {
                None => "?",
                Some((_, "")) => "",
                Some(_) => "&",
            };
            self.target.push_str(sign);
            self.target.push_str(pairs);
        }
        self
    }

    /// Where a `location` in the answer to this URL leads.
    pub(crate) fn resolve(&self, location: &str) -> Result<Self, String> {
        let (location, _fragment) = location.split_once('#').unwrap_or((location, ""));
        let scheme = if self.https { "https" } else { "http" };
        let path_end = location.find(['/', '?']).unwrap_or(location.len());
        let has_scheme = location
            .get(..path_end)
            .is_some_and(|part| part.contains(':'));
        if has_scheme {
            return Self::parse(location);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        let (path, _) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let target = match location.chars().next() {
            None => self.target.clone(),
            Some('?') => format!("{path}{location}"),
            Some('/') => without_dots(location),
            Some(_) => {
                let (folder, _) = path.rsplit_once('/').unwrap_or_default();
                without_dots(&format!("{folder}/{location}"))
            }
        };
        Self::parse(&format!("{scheme}://{}{target}", self.authority))
    }

    /// Whether nobody on the way can read it or change it: https, or a host that is this machine.
    pub(crate) fn is_private(&self) -> bool {
        let host = self.authority.host.as_str();
        let is_local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        self.https || is_local || host.ends_with(".localhost")
    }

    /// Whether what is meant for one of them may go to the other.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        let port = |url: &Self| {
            url.authority
                .port
                .unwrap_or(if url.https { 443 } else { 80 })
        };
        self.https == other.https
            && self.authority.host == other.authority.host
            && port(self) == port(other)
    }
}

impl fmt::Display for FetchUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.target)
    }
}

impl FromText for FetchUrl {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text)
            .map_err(|why| format!("`url` is an absolute http or https url: {why} (ERR_ADIT_2226)"))
    }
}

/// RFC 3986 §5.2.4, for a path that begins with `/`; a query behind it stays as it is.
fn without_dots(target: &str) -> String {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (target, String::new()),
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> FetchUrl {
        FetchUrl::parse(text).unwrap()
    }

    #[test]
    fn a_url_is_absolute_and_of_http() {
        for (text, same) in [
            ("https://A.internal", "https://a.internal/"),
            ("HTTP://a:8080?b=c#d", "http://a:8080/?b=c"),
            ("https://[::1]/a/../b", "https://[::1]/a/../b"),
            ("https://a#b", "https://a/"),
        ] {
            assert_eq!(url(text).to_string(), same);
        }
        for text in [
            "a.internal",
            "/a",
            "ftp://a/",
            "https://",
            "https://u:p@a/",
            "https://a:0/",
            "https://a/b c",
            "https://a/ü",
            "https://a\\@b/",
            "https://a\r\nb",
            "file:///etc/passwd",
        ] {
            assert!(FetchUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_location_is_read_relative_to_the_url() {
        // RFC 3986 §5.4, as far as it is about http.
        let base = url("http://a/b/c/d;p?q");
        for (location, target) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g..", "http://a/b/c/g.."),
            ("./g/.", "http://a/b/c/g/"),
            ("g/../h", "http://a/b/c/h"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("g?u=http://b", "http://a/b/c/g?u=http://b"),
            ("https://B/x", "https://b/x"),
        ] {
            assert_eq!(
                base.resolve(location).unwrap().to_string(),
                target,
                "{location}"
            );
        }
        for location in ["ftp://a/", "javascript:alert(1)", "//", "g h", "http:g"] {
            assert!(base.resolve(location).is_err(), "{location}");
        }
    }

    #[test]
    fn another_scheme_host_or_port_is_another_origin() {
        let base = url("https://a/b");
        assert!(base.same_origin(&url("https://A:443/c")));
        for other in ["http://a/b", "https://b/b", "https://a:444/b"] {
            assert!(!base.same_origin(&url(other)), "{other}");
        }
    }

    #[test]
    fn pairs_are_appended_to_those_that_are_there() {
        let with = |text: &str| url(text).with_query("k=v").to_string();
        assert_eq!(with("http://a"), "http://a/?k=v");
        assert_eq!(with("http://a?"), "http://a/?k=v");
        assert_eq!(with("http://a/b?c=d"), "http://a/b?c=d&k=v");
        assert_eq!(url("http://a?c").with_query("").to_string(), "http://a/?c");
    }
}
