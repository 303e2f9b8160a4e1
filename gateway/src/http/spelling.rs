//! A request's canonical authority and target, where it was spelled in another way.

use adit_policy::{
    canonical::{AbsoluteForm, Authority, AuthorityRef, BadTarget, Target},
    endpoint_url::Scheme,
};
use http::{Uri, Version, header};
use pingora_core::{ErrorType, OrErr, Result};
use pingora_http::RequestHeader;

use super::errors::ErrorPage;
use crate::pools::endpoints::Endpoint;

/// What a request must be changed to before anybody reads it again. `None` in each: it came like that.
#[derive(Debug, Default)]
pub(super) struct Respelling {
    pub(super) authority: Option<String>,
    pub(super) target: Option<String>,
}

/// The request target in origin form. The absolute form is one only if it names whom the request names.
pub(super) fn origin<'a>(
    request: &'a RequestHeader,
    authority: &AuthorityRef<'_>,
    scheme: Scheme,
) -> Result<&'a [u8], ErrorPage> {
    let target = request.raw_path();
    if target.first() == Some(&b'/') || request.version == Version::HTTP_2 {
        return Ok(target);
    }
    let form = AbsoluteForm::read(target).ok_or_else(|| ErrorPage::bad_target(BadTarget::Form))?;
    let named = Authority::parse_borrowed(form.authority)
        .map_err(|error| ErrorPage::bad_request(&error.to_string()))?;
    if named != *authority || form.scheme != scheme {
        return Err(ErrorPage::bad_request(
            "the request target names another host than the host header",
        ));
    }
    Ok(form.origin)
}

/// The target as this endpoint wants it read.
pub(super) fn target<'a>(endpoint: &Endpoint, origin: &'a [u8]) -> Result<Target<'a>, ErrorPage> {
    match endpoint.normalize_paths {
        true => Target::normalized(origin),
        false => Target::parse(origin),
    }
    .map_err(ErrorPage::bad_target)
}

// === impl Respelling ===

impl Respelling {
    /// Takes effect: policies, logs and the service get the spelling that was routed on.
    pub(super) fn apply(self, request: &mut RequestHeader) -> Result<()> {
        let Self { authority, target } = self;
        if request.uri.authority().is_some() && (authority.is_some() || target.is_some()) {
            let mut parts = request.uri.clone().into_parts();
            if let Some(authority) = &authority {
                parts.authority = authority.parse().ok();
            }
            if let Some(target) = &target {
                parts.path_and_query = target.parse().ok();
            }
            let uri = Uri::from_parts(parts);
            request.set_uri(uri.or_err(ErrorType::InternalError, "a canonical URI is none")?);
        } else if let Some(target) = &target {
            request.set_raw_path(target.as_bytes())?;
        }
        match authority {
            Some(authority) => request.insert_header(header::HOST, authority),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str) -> RequestHeader {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        request.set_version(Version::HTTP_11);
        request.insert_header("Host", "app.example.com").unwrap();
        request
    }

    #[test]
    fn a07_an_absolute_form_must_name_the_host() {
        let authority = Authority::parse_borrowed(b"app.example.com").unwrap();
        let read = |target: &str| {
            origin(&request(target), &authority, Scheme::Http).map(|target| target.to_vec())
        };
        assert_eq!(read("/a?b").unwrap(), b"/a?b");
        assert_eq!(read("http://App.Example.com./a?b").unwrap(), b"/a?b");
        assert_eq!(read("http://app.example.com").unwrap(), b"/");
        for target in [
            "https://app.example.com/",
            "http://evil.example/",
            "http://app.example.com:81/",
            "http://app.example.com@evil.example/",
            "http:///",
            "*",
        ] {
            assert!(read(target).is_err(), "{target}");
        }
    }

    #[test]
    fn a_respelling_takes_effect_in_both_kinds_of_header() {
        let respelling = || Respelling {
            authority: Some("app.example.com".to_owned()),
            target: Some("/a%2Fb?c".to_owned()),
        };
        let mut http1 = request("http://APP.example.com/%61%2fb?c");
        respelling().apply(&mut http1).unwrap();
        assert_eq!(http1.raw_path(), b"/a%2Fb?c");
        assert_eq!(http1.uri.path(), "/a%2Fb");
        assert_eq!(http1.headers["host"], "app.example.com");

        let mut http2 = request("/");
        http2.set_uri("http://APP.example.com/%61%2fb?c".parse().unwrap());
        respelling().apply(&mut http2).unwrap();
        assert_eq!(http2.uri, "http://app.example.com/a%2Fb?c");
        assert_eq!(http2.raw_path(), b"/a%2Fb?c");
    }
}
