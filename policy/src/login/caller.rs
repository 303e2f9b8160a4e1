//! Who asks: a person whose browser can be sent elsewhere, or a program that must be told.

use http::Method;
use http::header::{
    ACCEPT, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, UPGRADE,
};

use crate::exchange::Request;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Whether a browser shows a person what is answered, so that it can be sent to a provider.
pub(super) fn is_navigation(request: &Request<'_>) -> bool {
    let lines = request.head.lines();
    let reads = request.method == Method::GET || request.method == Method::HEAD;
    if !reads || is_websocket(lines) || text(lines, &CONTENT_TYPE).starts_with("application/grpc") {
        return false;
    }
    match lines.get(SEC_FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => {
            let accepts = text(lines, &ACCEPT).to_ascii_lowercase();
            accepts.contains("text/html") && !lines.contains_key(X_REQUESTED_WITH)
        }
    }
}

/// Whether a browser asks if it may send a request of another site, which it does without cookies.
pub(super) fn is_preflight(request: &Request<'_>) -> bool {
    let lines = request.head.lines();
    let only = |name| {
        let mut values = lines.get_all(name).iter().map(HeaderValue::as_bytes);
        values.next().filter(|_| values.next().is_none())
    };
    let asks = |method: &[u8]| Method::from_bytes(method).is_ok();
    request.method == Method::OPTIONS
        && only(ORIGIN).is_some_and(|origin| !origin.is_empty())
        && only(ACCESS_CONTROL_REQUEST_METHOD).is_some_and(asks)
}

/// Whether a script of another site opens a WebSocket: browsers send their cookies with it, and ask nobody before.
pub(super) fn is_foreign_websocket(request: &Request<'_>) -> bool {
    let lines = request.head.lines();
    if !is_websocket(lines) {
        return false;
    }
    let own = |origin: &[u8]| {
        let authority = origin.strip_prefix(b"https://").unwrap_or_default();
        same(authority, request.authority.as_bytes())
    };
    lines
        .get_all(ORIGIN)
        .iter()
        .any(|origin| !own(origin.as_bytes()))
}

fn is_websocket(lines: &HeaderMap) -> bool {
    let mut values = lines.get_all(UPGRADE).iter();
    values.any(|value| {
        let mut words = value.as_bytes().split(|byte| *byte == b',');
        words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    })
}

/// Whether two authorities of https are the same.
fn same(one: &[u8], other: &[u8]) -> bool {
    let plain = |text: &'_ [u8]| text.strip_suffix(b":443").map_or(text.len(), <[u8]>::len);
    let (one, other) = (one.get(..plain(one)), other.get(..plain(other)));
    match (one, other) {
        (Some(one), Some(other)) => !one.is_empty() && one.eq_ignore_ascii_case(other),
        _ => false,
    }
}

fn text<'l>(lines: &'l HeaderMap, name: &HeaderName) -> &'l str {
    lines
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{lines, request};

    fn navigates(pairs: &[(&'static str, &'static str)]) -> bool {
        let lines = lines(pairs);
        is_navigation(request(&lines).request().unwrap())
    }

    #[test]
    fn only_navigations_are_sent_to_a_provider() {
        let html = ("accept", "text/html,*/*;q=0.8");
        assert!(navigates(&[html]));
        assert!(navigates(&[("sec-fetch-mode", "navigate")]));
        for program in [
            &[][..],
            &[("accept", "*/*")],
            &[("accept", "application/json")],
            &[html, ("x-requested-with", "XMLHttpRequest")],
            &[html, ("sec-fetch-mode", "cors")],
            &[html, ("sec-fetch-mode", "websocket")],
            &[html, ("upgrade", "websocket")],
            &[html, ("upgrade", "h2c, WebSocket")],
            &[html, ("content-type", "application/grpc+proto")],
        ] {
            assert!(!navigates(program), "{program:?}");
        }
    }

    #[test]
    fn a20_c_a_websocket_of_another_origin_is_told_apart() {
        let foreign = |origin: &'static str| {
            let lines = lines(&[("upgrade", "websocket"), ("origin", origin)]);
            is_foreign_websocket(request(&lines).request().unwrap())
        };
        for own in ["https://app.example.com", "https://APP.example.com:443"] {
            assert!(!foreign(own), "{own}");
        }
        for other in [
            "https://evil.example",
            "http://app.example.com",
            "null",
            "https://app.example.com.evil.example",
            "https://app.example.com:8443",
            "",
        ] {
            assert!(foreign(other), "{other}");
        }
        let programs = lines(&[("upgrade", "websocket")]);
        assert!(!is_foreign_websocket(request(&programs).request().unwrap()));
    }
}
