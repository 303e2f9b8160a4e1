//! The URLs at which providers publish what is believed of them.

use std::fmt;

use crate::expr::FromText;
use crate::fetch_url::FetchUrl;

/// An https URL; http only if the host is this machine (`localhost`, `*.localhost`, `127.0.0.1`, `[::1]`), for development.
/// The operator still decides whether such a host may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityUrl(FetchUrl);

impl IdentityUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::of(FetchUrl::parse(text)?)
    }

    /// Where a redirect leads: to the same origin, or nowhere.
    pub(crate) fn redirected(&self, location: &str) -> Result<Self, String> {
        let next = self.0.resolve(location)?;
        match next.same_origin(&self.0) {
            true => Ok(Self(next)),
            false => Err(format!("it redirects to another origin, {next}")),
        }
    }

    fn of(url: FetchUrl) -> Result<Self, String> {
        match url.is_private() {
            true => Ok(Self(url)),
            false => Err("it must begin with https://".to_owned()),
        }
    }
}

impl fmt::Display for IdentityUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromText for IdentityUrl {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|why| format!("{text} cannot be used: {why} (ERR_ADIT_2226)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        for text in [
            "https://issuer.example/keys",
            "http://localhost:8000/keys",
            "http://issuer.localhost/keys",
            "http://127.0.0.1:8000",
            "http://[::1]:8000/keys",
        ] {
            assert!(IdentityUrl::parse(text).is_ok(), "{text}");
        }
        for text in [
            "http://issuer.example/keys",
            "http://localhost.example/keys",
            "http://127.0.0.2/keys",
            "http://10.0.0.1/keys",
            "file:///keys",
            "issuer.example/keys",
        ] {
            assert!(IdentityUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_redirect_stays_at_the_origin() {
        let url = IdentityUrl::parse("https://a.example/b").unwrap();
        let next = url.redirected("/c?d").unwrap();
        assert_eq!(next.to_string(), "https://a.example/c?d");
        for location in [
            "https://b.example/",
            "http://a.example/c",
            "https://a.example:444/",
            "//b.example",
        ] {
            assert!(url.redirected(location).is_err(), "{location}");
        }
    }
}
