//! `redirect`: sends the client to another URL.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::headers::Headers;
use super::reference::resolved;
use super::url_from_to::{Made, UrlPattern, UrlTo, leave_results, replaced, taint, unusable_url};
use crate::action::{Action, Config, Fault, Flow, Phase, Reply, Unbuildable};
use crate::canonical::{Target, percent};
use crate::env::Env;
use crate::exchange::{Exchange, Request};
use crate::expr::Field;

/// Config of `redirect`.
///
/// The phase ends if the client is redirected. It goes on if `from` does not match, or if the client is there already.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Redirect {
    /// A regular expression in RE2's syntax, searched for in the whole URL, `https://host/path?query`; may hold `${…}`.
    /// Default: all of the URL.
    from: Option<Field<UrlPattern>>,
    /// What takes the place of every match; may hold `${…}`. `$1` is the first group, `$$` a dollar; a `$` that comes out of
    /// a `${…}` is only a dollar. A result without a scheme is read as seen from the request's URL, and what no URL may hold
    /// is percent-encoded.
    to: UrlTo,
    /// 301, 302, 303, 307 or 308. Default: 302.
    #[serde(default)]
    status_code: Status,
    /// More headers of the answer; values may hold `${…}`.
    #[serde(default, deserialize_with = "headers")]
    headers: Headers,
    /// Refused, with a hint.
    #[serde(default, rename = "location")]
    _location: Option<NoLocation>,
}

impl Config for Redirect {
    const TYPE: &'static str = "redirect";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some("redirect");
    type Action = Self;

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for Redirect {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let mut matches = Vec::new();
        let url = self.url(exchange, &mut matches);
        if exchange.memory.wants_results() {
            let shown = match &url {
                Ok(Some(url)) => url.clone(),
                _ => exchange.request()?.url(),
            };
            let fault = url.as_ref().err();
            leave_results("redirect", matches, shown, fault, &mut exchange.memory);
        }
        let Some(url) = url? else {
            return Ok(Flow::Next);
        };
        let mut location = HeaderValue::from_str(&url).map_err(unusable_url)?;
        let memory = &exchange.memory;
        memory.mark_line(&mut location, taint(memory));
        let mut reply = Reply::new(Bytes::new());
        *reply.status_mut() = self.status_code.0;
        for (name, value) in self.headers.lines(exchange)? {
            reply.headers_mut().append(name, value);
        }
        reply.headers_mut().insert(LOCATION, location);
        Ok(Flow::Answer(reply))
    }
}

impl Redirect {
    /// Where the client is sent to, if it is sent anywhere.
    fn url(
        &self,
        exchange: &Exchange<'_>,
        told: &mut Vec<String>,
    ) -> Result<Option<String>, Fault> {
        let Some(Made { matches, url }) = replaced(self.from.as_ref(), &self.to, exchange)? else {
            return Ok(None);
        };
        *told = matches;
        let request = exchange.request()?;
        let url = percent::escape_unless(&resolved(&url, request), may_stand_in_a_url);
        if cut(&url).is_some_and(|url| url.is_http() && url.authority.is_empty()) {
            return Err(unusable_url("the URL names no host"));
        }
        Ok(Some(url).filter(|url| !is_that_of(request, url)))
    }
}

/// A URL of the form `scheme://authority/path?query`, cut into its parts.
struct Parts<'a> {
    scheme: &'a str,
    authority: &'a str,
    /// Path and query, without a fragment.
    target: &'a str,
}

fn cut(url: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    let (rest, _) = rest.split_once('#').unwrap_or((rest, ""));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(end)?;
    Some(Parts {
        scheme,
        authority,
        target,
    })
}

impl Parts<'_> {
    fn is_http(&self) -> bool {
        ["http", "https"]
            .iter()
            .any(|scheme| self.scheme.eq_ignore_ascii_case(scheme))
    }
}

/// Whether the client is where it would be sent to. Otherwise it would go round in a circle.
fn is_that_of(request: &Request<'_>, url: &str) -> bool {
    let Some(url) = cut(url) else {
        return false;
    };
    let target = match url.target.starts_with('/') {
        true => url.target.to_owned(),
        false => format!("/{}", url.target),
    };
    let Ok(target) = Target::parse(target.as_bytes()) else {
        return false;
    };
    url.scheme.eq_ignore_ascii_case(&request.scheme.to_string())
        && url.authority.eq_ignore_ascii_case(request.authority)
        && target.path() == request.target.path()
        && target.query() == request.target.query()
}

/// Reserved and unreserved characters (RFC 3986 §2.2, §2.3).
fn may_stand_in_a_url(byte: u8) -> bool {
    percent::is_unreserved(byte) || b":/?#[]@!$&'()*+,;=".contains(&byte)
}

/// A status that makes clients go elsewhere.
#[derive(Debug)]
struct Status(StatusCode);

impl Default for Status {
    fn default() -> Self {
        Self(StatusCode::FOUND)
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusVisitor)
    }
}

struct StatusVisitor;

impl Visitor<'_> for StatusVisitor {
    type Value = Status;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("301, 302, 303, 307 or 308")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Status, E> {
        Ok(Status(match value {
            301 => StatusCode::MOVED_PERMANENTLY,
            302 => StatusCode::FOUND,
            303 => StatusCode::SEE_OTHER,
            307 => StatusCode::TEMPORARY_REDIRECT,
            308 => StatusCode::PERMANENT_REDIRECT,
            _ => {
                return Err(E::custom(format_args!(
                    "status {value} is none of 301, 302, 303, 307 and 308 (ERR_ADIT_2222)"
                )));
            }
        }))
    }
}

fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
    let headers = Headers::deserialize(deserializer)?;
    match headers.0.iter().any(|(name, _)| name == LOCATION) {
        true => Err(D::Error::custom(
            "header `location` is what `to` says (ERR_ADIT_2211)",
        )),
        false => Ok(headers),
    }
}

/// Refuses every value, at the value's place.
#[derive(Debug)]
struct NoLocation;

impl<'de> Deserialize<'de> for NoLocation {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(
            "the location of a `redirect` is called `to` (ERR_ADIT_2203)",
        ))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use crate::expr::json::encode;
    use crate::memory::Memory;
    use crate::testing::{get, lines, one, policy, refused};
    use crate::verdict::Verdict;

    async fn asked(config: &str, target: &str, headers: &HeaderMap) -> (Verdict, String) {
        let policy = policy(&one("on_http_request", "redirect", config));
        let mut exchange = get(target, headers);
        exchange.memory = Memory::traced();
        let verdict = policy.on_http_request(&mut exchange).await;
        let left = exchange.memory.result("redirect").map(encode);
        (verdict, left.unwrap_or_default())
    }

    /// Where `GET https://app.example.com<target>` is sent to.
    async fn location(config: &str, target: &str) -> Option<String> {
        match asked(config, target, &HeaderMap::new()).await {
            (Verdict::Answer { reply, .. }, _) => {
                let location = reply.headers()["location"].to_str().unwrap();
                Some(location.to_owned())
            }
            (Verdict::Continue, _) => None,
            (verdict, _) => panic!("{verdict:?}"),
        }
    }

    #[tokio::test]
    async fn sends_the_client_elsewhere_with_status_and_headers() {
        let config =
            "{to: 'https://b.example/x', status_code: 308, headers: {x-a: '${req.method}'}}";
        let (verdict, told) = asked(config, "/", &HeaderMap::new()).await;
        let Verdict::Answer { reply, .. } = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(reply.status(), 308);
        assert_eq!(reply.headers()["location"], "https://b.example/x");
        assert_eq!(reply.headers()["x-a"], "GET");
        assert!(reply.body().is_empty());
        assert_eq!(
            told,
            r#"{"error":{"code":"","message":""},"matches":["https://app.example.com/"],"url":"https://b.example/x"}"#
        );
        let (verdict, _) = asked("{to: /b}", "/", &HeaderMap::new()).await;
        assert!(matches!(verdict, Verdict::Answer { reply, .. } if reply.status() == 302));
    }

    #[tokio::test]
    async fn all_matches_in_the_whole_url_are_replaced() {
        for (config, target, to) in [
            (
                "{from: '^https://app[.]', to: 'https://www.'}",
                "/a?b=c",
                Some("https://www.example.com/a?b=c"),
            ),
            (
                "{from: /v1/, to: /v2/}",
                "/v1/x/v1/y",
                Some("https://app.example.com/v2/x/v2/y"),
            ),
            (
                "{from: '/u/([0-9]+)$', to: '/users/$1x?id=$1&no=$2&d=$$1'}",
                "/u/7",
                Some("https://app.example.com/users/7x?id=7&no=&d=$1"),
            ),
            ("{from: '^/api', to: /x}", "/api", None),
            ("{from: /gone, to: /x}", "/here", None),
            (
                "{to: '/b?was=$0'}",
                "/a",
                Some("https://app.example.com/b?was=https://app.example.com/a"),
            ),
        ] {
            assert_eq!(location(config, target).await.as_deref(), to, "{config}");
        }
    }

    #[tokio::test]
    async fn nobody_is_sent_to_where_they_are() {
        for (to, target) in [
            ("https://app.example.com/a?b=c", "/a?b=c"),
            ("https://APP.example.com/a", "/a"),
            ("/a#top", "/a"),
            ("''", "/a"),
            ("/%7ea", "/~a"),
            ("https://app.example.com", "/"),
            ("'https://app.example.com?x'", "/?x"),
            ("./a", "/a"),
        ] {
            assert_eq!(
                location(&format!("{{to: {to}}}"), target).await,
                None,
                "{to}"
            );
        }
        let (verdict, told) = asked("{from: nowhere, to: /x}", "/a", &HeaderMap::new()).await;
        assert!(matches!(verdict, Verdict::Continue));
        assert_eq!(
            told,
            r#"{"error":{"code":"","message":""},"matches":[],"url":"https://app.example.com/a"}"#
        );
    }

    #[tokio::test]
    async fn a_result_without_a_scheme_is_seen_from_the_url() {
        // RFC 3986 §5.4.
        for (to, url) in [
            ("g", "https://app.example.com/b/c/g"),
            ("./g", "https://app.example.com/b/c/g"),
            ("g/", "https://app.example.com/b/c/g/"),
            ("/g", "https://app.example.com/g"),
            ("//g", "https://g"),
            ("?y", "https://app.example.com/b/c/d;p?y"),
            ("g?y/../z", "https://app.example.com/b/c/g?y/../z"),
            (";x", "https://app.example.com/b/c/;x"),
            (".", "https://app.example.com/b/c/"),
            ("..", "https://app.example.com/b/"),
            ("../g", "https://app.example.com/b/g"),
            ("../../..", "https://app.example.com/"),
            ("../../../g", "https://app.example.com/g"),
            ("/./g/../h", "https://app.example.com/h"),
            ("mailto:a@b.example", "mailto:a@b.example"),
            ("http://g", "http://g"),
        ] {
            let config = format!("{{to: '{to}'}}");
            assert_eq!(
                location(&config, "/b/c/d;p?q").await.as_deref(),
                Some(url),
                "{to}"
            );
        }
    }

    #[tokio::test]
    async fn a05_no_location_is_ever_split() {
        let sent = |value: &'static str| lines(&[("x-to", value)]);
        let config = "{to: \"/${req.url.query_params['q'][0]}${req.headers['x-to'][0]}\"}";
        for (query, header, url) in [
            ("San%20Francisco", "", "/San%20Francisco"),
            ("a%0d%0aset-cookie:%20x=1", "", "/a%0D%0Aset-cookie:%20x=1"),
            ("%00", "", "/%00"),
            ("%25", "%41%zz", "/%25%41%25zz"),
            (
                "%C3%BC%22%3C%3E%5C%5E%60%7B%7C%7D",
                "",
                "/%C3%BC%22%3C%3E%5C%5E%60%7B%7C%7D",
            ),
            ("%241", "$0", "/$1$0"),
        ] {
            let target = format!("/a?q={query}");
            let (verdict, _) = asked(config, &target, &sent(header)).await;
            let Verdict::Answer { reply, .. } = verdict else {
                panic!("{verdict:?}");
            };
            let location = reply.headers()["location"].to_str().unwrap();
            assert_eq!(location, format!("https://app.example.com{url}"));
            assert_eq!(reply.headers().len(), 1);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_a_location_is_a_fault() {
        let cases = [
            ("{to: 'https:///x'}", "", 2247),
            ("{to: \"http://${req.headers['x'][0]}\"}", "", 2247),
            ("{to: \"/${req.headers['y'][0]}\"}", "", 2238),
            ("{from: \"${req.headers['x'][0]}\", to: /}", "(", 3901),
        ];
        for (config, header, code) in cases {
            let headers = lines(&[("x", header)]);
            let (verdict, told) = asked(config, "/a", &headers).await;
            let Verdict::Fault { fault, .. } = verdict else {
                panic!("{verdict:?}");
            };
            assert_eq!(fault.code(), code, "{fault}");
            assert!(
                told.contains(&format!("\"code\":\"ERR_ADIT_{code}\"")),
                "{told}"
            );
        }
        let config = format!("{{to: '/{}'}}", "x".repeat(8 << 10));
        let (verdict, _) = asked(&config, "/", &HeaderMap::new()).await;
        assert!(matches!(verdict, Verdict::Fault { fault, .. } if fault.code() == 2247));
    }

    #[test]
    fn a_wrong_config_is_refused_at_its_place() {
        for (config, said) in [
            (
                "{to: /, location: /x}",
                "4:35: on_http_request[0].actions[0].config.location: the location of a `redirect` is called `to` (ERR_ADIT_2203)",
            ),
            (
                "{to: /, status_code: 304}",
                "status 304 is none of 301, 302, 303, 307 and 308 (ERR_ADIT_2222)",
            ),
            (
                "{to: /, headers: {Location: /x}}",
                "header `location` is what `to` says (ERR_ADIT_2211)",
            ),
            (
                "{from: '(', to: /}",
                "4:24: on_http_request[0].actions[0].config.from: `from` is not a regular expression: unclosed group (ERR_ADIT_2261)",
            ),
            ("{from: a}", "missing field `to`"),
            (
                "{to: '/x?$args'}",
                "4:22: on_http_request[0].actions[0].config.to: `$args` belongs to older policies: write ${req.url.query}, or `$$` for a dollar (ERR_ADIT_2204)",
            ),
            ("{to: '/${req.methot}'}", "unknown variable `req.methot`"),
            ("{to: '/${'}", "(ERR_ADIT_2224)"),
        ] {
            let message = refused(&one("on_http_request", "redirect", config));
            assert!(message.contains(said), "{message}");
        }
    }
}
