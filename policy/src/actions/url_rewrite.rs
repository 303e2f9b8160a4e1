//! `url-rewrite`: lets the service see another path and query than the client asked for.

use serde::Deserialize;

use super::url_from_to::{Made, UrlPattern, UrlTo, leave_results, replaced, taint, unusable_url};
use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::canonical::{TargetBuf, percent};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::Field;

/// Config of `url-rewrite`.
///
/// Only path and query change: scheme and host of the result are left aside, and what comes out obeys the rules that
/// every request obeys. Later rules see the new URL; `req.url.raw` keeps the old one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UrlRewrite {
    /// A regular expression in RE2's syntax, searched for in the whole URL, `https://host/path?query`; may hold `${…}`.
    /// Default: all of the URL.
    from: Option<Field<UrlPattern>>,
    /// What takes the place of every match; may hold `${…}`. `$1` is the first group, `$$` a dollar; a `$` that comes out of
    /// a `${…}` is only a dollar. Spaces and characters beyond ASCII are percent-encoded.
    to: UrlTo,
}

impl Config for UrlRewrite {
    const TYPE: &'static str = "url-rewrite";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest];
    const RESULTS: Option<&'static str> = Some("url_rewrite");
    type Action = Self;

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for UrlRewrite {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let mut matches = Vec::new();
        let (target, fault) = match self.target(exchange, &mut matches) {
            Ok(target) => (target, None),
            Err(fault) => (None, Some(fault)),
        };
        let request = exchange.request_mut()?;
        if let Some(target) = target
            && (target.path(), target.query()) != (request.target.path(), request.target.query())
        {
            request.rewrite(target);
            let taint = taint(&exchange.memory);
            if taint.is_secret() {
                exchange.memory.mark_parts(|parts| parts.target = taint);
            }
        }
        if exchange.memory.wants_results() {
            let url = exchange.request()?.url();
            let fault = fault.as_ref();
            leave_results("url_rewrite", matches, url, fault, &mut exchange.memory);
        }
        match fault {
            Some(fault) => Err(fault),
            None => Ok(Flow::Next),
        }
    }
}

impl UrlRewrite {
    /// The new path and query, if `from` matches.
    fn target(
        &self,
        exchange: &Exchange<'_>,
        told: &mut Vec<String>,
    ) -> Result<Option<TargetBuf>, Fault> {
        let Some(Made { matches, url }) = replaced(self.from.as_ref(), &self.to, exchange)? else {
            return Ok(None);
        };
        *told = matches;
        let target = path_and_query(&url)
            .ok_or_else(|| unusable_url("the result is neither a URL nor a path"))?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        let target = percent::escape_unless(&format!("{slash}{target}"), is_left);
        let target = exchange.request()?.target.rewritten(&target);
        target.map(Some).map_err(unusable_url)
    }
}

/// What stands behind scheme and host, either of which a replacement may have taken away, without a fragment.
fn path_and_query(url: &str) -> Option<&str> {
    let target = match url.split_once("://") {
        _ if url.starts_with('/') => url,
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            rest.get(end..)?
        }
        _ => return None,
    };
    Some(target.split_once('#').map_or(target, |(target, _)| target))
}

/// Spaces and what is beyond ASCII can only have been meant as escapes; control bytes are for the target to refuse.
fn is_left(byte: u8) -> bool {
    byte != b' '
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use crate::expr::json::encode;
    use crate::memory::Memory;
    use crate::testing::{get, lines, one, policy, refused};
    use crate::verdict::Verdict;

    async fn asked(
        config: &str,
        target: &str,
        headers: &HeaderMap,
    ) -> (Verdict, Option<String>, String) {
        let policy = policy(&one("on_http_request", "url-rewrite", config));
        let mut exchange = get(target, headers);
        exchange.memory = Memory::traced();
        let verdict = policy.on_http_request(&mut exchange).await;
        let left = exchange.memory.result("url_rewrite").map(encode);
        let new = exchange.request().unwrap().new_target();
        (
            verdict,
            new.map(ToString::to_string),
            left.unwrap_or_default(),
        )
    }

    #[tokio::test]
    async fn path_and_query_change_and_nothing_else() {
        for (config, target, new) in [
            (
                "{from: '/v1/', to: /v2/}",
                "/v1/x/v1/y?z",
                Some("/v2/x/v2/y?z"),
            ),
            ("{to: '/b?was=${req.url.path}'}", "/a", Some("/b?was=/a")),
            (
                "{from: '/users/([0-9]+)$', to: '/user?id=$1&x=$2'}",
                "/users/7",
                Some("/user?id=7&x="),
            ),
            (
                "{from: '^https://[^/]+', to: 'http://other.example:81'}",
                "/a",
                None,
            ),
            (
                "{from: '^https://[^/]+', to: 'http://other.example:81/z'}",
                "/a",
                Some("/z/a"),
            ),
            (
                "{from: '${req.url.authority}/products[?]id=([0-9]+)', to: '/products/$1'}",
                "/products?id=5",
                Some("/products/5"),
            ),
            ("{from: '^https://[^/]+', to: ''}", "/a", None),
            ("{to: 'https://b.example?q'}", "/a", Some("/?q")),
            ("{to: 'https://b.example'}", "/a", Some("/")),
            ("{to: '/a/../b/./c#top'}", "/a", Some("/b/c")),
            ("{to: /%7ea}", "/~a", None),
            ("{from: nowhere, to: /x}", "/a", None),
            ("{to: '/ü b?c d=%'}", "/a", Some("/%C3%BC%20b?c%20d=%25")),
        ] {
            let (verdict, got, _) = asked(config, target, &HeaderMap::new()).await;
            assert!(
                matches!(verdict, Verdict::Continue),
                "{config}: {verdict:?}"
            );
            assert_eq!(got.as_deref(), new, "{config}");
        }
    }

    #[tokio::test]
    async fn later_rules_see_the_new_url_and_what_was_done() {
        let policy = policy(
            "on_http_request:
  - actions: [{type: url-rewrite, config: {from: 'a+', to: b}}]
  - expressions:
      - req.url.path == '/b'
      - req.url.raw_path == '/aa'
      - actions.ngrok.url_rewrite.url == 'https://app.example.com/b'
      - actions.ngrok.url_rewrite.matches == ['a', 'a', 'aa']
      - actions.ngrok.url_rewrite.error.code == ''
    actions: [{type: deny}]
",
        );
        let headers = HeaderMap::new();
        let verdict = policy.on_http_request(&mut get("/aa", &headers)).await;
        assert!(matches!(verdict, Verdict::Deny { .. }), "{verdict:?}");
    }

    #[tokio::test]
    async fn a05_a_result_that_is_no_target_is_a_fault() {
        for (to, value) in [
            ("/${V}", "a%0d%0ax:%20y"),
            ("/${V}", "a%00"),
            ("/a?${V}", "%0a"),
            ("/${V}", "%250d%250a"),
            ("/${V}", "../../x"),
            ("/${V}", "%252e%252e/x"),
            ("/${V}", "/evil.example"),
            ("/${V}", "a%5Cb"),
            ("${V}", "b"),
            ("b/${V}", "c"),
            ("${V}", ""),
        ] {
            let to = to.replace("${V}", "${req.url.query_params['q'][0]}");
            let target = format!("/a?q={value}");
            let config = format!("{{to: \"{to}\"}}");
            let (verdict, new, told) = asked(&config, &target, &HeaderMap::new()).await;
            let Verdict::Fault { fault, .. } = verdict else {
                panic!("{to} {value}: {verdict:?} {new:?}");
            };
            assert_eq!((fault.code(), new), (2247, None), "{fault}");
            assert!(told.contains("\"code\":\"ERR_ADIT_2247\""), "{told}");
        }
    }

    #[tokio::test]
    async fn a_dollar_of_the_client_names_no_group() {
        let config = "{from: '/(a)$', to: \"/$1-${req.headers['x'][0]}\"}";
        let (_, new, _) = asked(config, "/a", &lines(&[("x", "$1$$")])).await;
        assert_eq!(new.as_deref(), Some("/a-$1$$"));
    }

    #[test]
    fn a_wrong_config_is_refused_at_its_place() {
        for (config, said) in [
            (
                "{from: '(', to: /}",
                "`from` is not a regular expression: unclosed group (ERR_ADIT_2261)",
            ),
            ("{from: a}", "missing field `to`"),
            (
                "{to: '$uri'}",
                "`$uri` belongs to older policies: write ${req.url.uri}",
            ),
            ("{to: /, status_code: 302}", "unknown field `status_code`"),
        ] {
            let message = refused(&one("on_http_request", "url-rewrite", config));
            assert!(message.contains(said), "{message}");
        }
    }
}
