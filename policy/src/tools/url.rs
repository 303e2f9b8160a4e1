//! The address of a described request, as a gateway would read it.

use std::str::FromStr;

use crate::canonical::{Authority, Target, TargetBuf};
use crate::endpoint_url::{EndpointUrl, Scheme};

/// Where a request goes whose case does not say.
const STANDARD: &str = "https://app.example.com";

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Url {
    endpoint: EndpointUrl,
    authority: String,
    target: TargetBuf,
    /// Whether the text was only a path.
    is_path: bool,
}

// === impl Url ===

impl Url {
    /// This one, at the endpoint of `common` if it is only a path.
    pub fn on(self, common: &Self) -> Self {
        match self.is_path {
            true => Self {
                target: self.target,
                ..common.clone()
            },
            false => self,
        }
    }

    /// The endpoint that it belongs to.
    pub fn endpoint(&self) -> &EndpointUrl {
        &self.endpoint
    }

    /// Host, and port if explicit.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query.
    pub fn target(&self) -> &TargetBuf {
        &self.target
    }
}

impl Default for Url {
    #[expect(clippy::expect_used, reason = "the text is a constant")]
    fn default() -> Self {
        "/".parse().expect("a path")
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_path = text.starts_with('/');
        let whole = match is_path {
            true => format!("{STANDARD}{text}"),
            false => text.to_owned(),
        };
        let Some((_, rest)) = whole.split_once("://") else {
            return Err(format!(
                "`{text}` is no URL: write https://host/path, or a path that begins with `/`"
            ));
        };
        let after = rest.find(['/', '?']).unwrap_or(rest.len());
        let (endpoint, target) = whole.split_at(whole.len() - rest.len() + after);
        let slash = if target.starts_with('/') { "" } else { "/" };
        let target = format!("{slash}{target}");
        let target = Target::parse(target.as_bytes()).map_err(|why| {
            format!("the gateway refuses this with 400, before any policy: {why} (ERR_ADIT_50003)")
        })?;
        let target = target.into_owned();
        let endpoint: EndpointUrl = endpoint.parse().map_err(|error| format!("{error}"))?;
        let authority = rest.get(..after).unwrap_or_default();
        let authority = match endpoint.scheme {
            Scheme::Tcp | Scheme::Tls => authority.to_owned(),
            Scheme::Http | Scheme::Https => written(authority)?,
        };
        Ok(Self {
            endpoint,
            authority,
            target,
            is_path,
        })
    }
}

/// An authority in its canonical form.
fn written(authority: &str) -> Result<String, String> {
    let Authority { host, port } =
        Authority::parse(authority.as_bytes()).map_err(|error| error.to_string())?;
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    Ok(format!("{}{port}", host.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_url_is_an_endpoint_an_authority_and_a_target() {
        let url = read("http://Api.Example.com:8080/a/./b?c=/d");
        assert_eq!(url.endpoint().to_string(), "http://api.example.com:8080");
        assert_eq!(url.authority(), "api.example.com:8080");
        assert_eq!(url.target().to_string(), "/a/b?c=/d");
        assert_eq!(read("https://a.example?x").target().to_string(), "/?x");
        assert_eq!(read("tcp://a.example:22").authority(), "a.example:22");
    }

    #[test]
    fn a_path_stands_at_the_endpoint_of_all_cases() {
        assert_eq!(Url::default().authority(), "app.example.com");
        let common = read("http://b.example/c");
        let url = read("/d").on(&common);
        assert_eq!(url.endpoint().to_string(), "http://b.example");
        assert_eq!(url.target().to_string(), "/d");
        let own = read("https://e.example").on(&common);
        assert_eq!(own.authority(), "e.example");
    }

    #[test]
    fn what_no_policy_would_see_is_refused() {
        for (text, why) in [
            ("app.example.com/", "no URL"),
            ("/a%2e%2e/b%zz", "ERR_ADIT_50003"),
            ("https://a b/", "host"),
            ("ftp://a/", "scheme"),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
