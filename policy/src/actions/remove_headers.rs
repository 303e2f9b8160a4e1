//! `remove-headers`: takes lines out of the request's header, or out of the response's.

use std::fmt;

use http::header::{CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::headers::{LINES_MAX, header_name};
use super::list::Bounds;
use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::env::Env;
use crate::exchange::{Exchange, Head};
use crate::expr::Value;

/// Without these nobody knows for whom a message is, or where it ends.
const KEPT: &[HeaderName] = &[HOST, CONTENT_LENGTH, TRANSFER_ENCODING];

/// Config of `remove-headers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveHeaders {
    /// The headers to take out, 1 to 100, in any case; all lines of a name go. `x-internal-*` is every header whose name
    /// begins so. Not for `host`, `content-length` and `transfer-encoding`.
    #[serde(deserialize_with = "some_names")]
    headers: Vec<Names>,
}

/// Which headers one entry means.
#[derive(Debug)]
enum Names {
    Exactly(HeaderName),
    /// All that begin so; in lower case.
    Beginning(String),
}

impl Config for RemoveHeaders {
    const TYPE: &'static str = "remove-headers";
    const PHASES: &'static [Phase] = &[Phase::OnHttpRequest, Phase::OnHttpResponse];
    const RESULTS: Option<&'static str> = Some("remove_headers");
    type Action = Self;

    fn removes_header(&self, name: &HeaderName) -> bool {
        self.headers.iter().any(|names| match names {
            Names::Exactly(removed) => removed == name,
            Names::Beginning(prefix) => name.as_str().starts_with(prefix),
        })
    }

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for RemoveHeaders {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        self.remove(exchange)
    }

    fn on_http_response(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        self.remove(exchange)
    }
}

impl RemoveHeaders {
    fn remove(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let is_told = exchange.memory.wants_results();
        let mut removed = Vec::new();
        let head = exchange.head_mut()?;
        for names in &self.headers {
            for name in names.present(head) {
                if is_told {
                    removed.push(Value::text(name.as_str().to_owned()));
                }
                head.remove(name)?;
            }
        }
        if is_told {
            let removed = Value::map([("headers_removed", Value::list(removed))]);
            exchange.memory.set_result("remove_headers", removed);
        }
        Ok(Flow::Next)
    }
}

// === impl Names ===

impl Names {
    fn parse(text: &str) -> Result<Self, String> {
        let refused = |name: &HeaderName| {
            format!("header `{name}` cannot be removed: no message goes without it (ERR_ADIT_2211)")
        };
        let is_prefix = text.ends_with('*');
        let prefix = text.strip_suffix('*').unwrap_or(text);
        if prefix.contains('*') {
            return Err(format!(
                "in {text:?} `*` does not stand at the end (ERR_ADIT_2210)"
            ));
        }
        if !is_prefix {
            let name = header_name(text)?;
            return match KEPT.contains(&name) {
                true => Err(refused(&name)),
                false => Ok(Self::Exactly(name)),
            };
        }
        let prefix = match prefix {
            "" => String::new(),
            _ => header_name(prefix)?.as_str().to_owned(),
        };
        let kept = KEPT.iter().find(|name| name.as_str().starts_with(&prefix));
        match kept {
            Some(name) => Err(refused(name)),
            None => Ok(Self::Beginning(prefix)),
        }
    }

    /// Those that a header has.
    fn present(&self, head: &Head<'_>) -> Vec<HeaderName> {
        match self {
            Self::Exactly(name) if head.lines().contains_key(name) => vec![name.clone()],
            Self::Exactly(_) => Vec::new(),
            Self::Beginning(prefix) => {
                let names = head.lines().keys();
                let names = names.filter(|name| name.as_str().starts_with(prefix));
                names.cloned().collect()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NamesVisitor)
    }
}

struct NamesVisitor;

impl Visitor<'_> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a header")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Names, E> {
        Names::parse(text).map_err(E::custom)
    }
}

fn some_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Names>, D::Error> {
    let bounds = Bounds {
        field: "headers",
        max: LINES_MAX,
        code: 2212,
    };
    bounds.read(deserializer)
}

#[cfg(test)]
mod tests {
    use crate::expr::Value;
    use crate::memory::Memory;
    use crate::testing::{lines, one, policy, refused, request, response};
    use crate::verdict::Verdict;

    #[tokio::test]
    async fn removes_all_lines_of_a_name_and_names_that_begin_so() {
        let policy = policy(&one(
            "on_http_request",
            "remove-headers",
            "{headers: [X-Role, x-internal-*, x-absent]}",
        ));
        let lines = lines(&[
            ("x-role", "user"),
            ("x-role", "admin"),
            ("x-internal-id", "1"),
            ("x-internal-team", "2"),
            ("x-internal", "stays"),
        ]);
        let mut exchange = request(&lines);
        exchange.memory = Memory::traced();
        let verdict = policy.on_http_request(&mut exchange).await;
        assert!(matches!(verdict, Verdict::Continue));
        let head = &exchange.request().unwrap().head;
        assert_eq!(head.lines().len(), 1);
        assert_eq!(head.lines()["x-internal"], "stays");
        assert_eq!(head.edits().len(), 3, "no edit for what is not there");
        let removed = ["x-role", "x-internal-id", "x-internal-team"];
        assert_eq!(
            exchange.memory.result("remove_headers"),
            Some(&Value::map([("headers_removed", Value::texts(removed))]))
        );
    }

    #[tokio::test]
    async fn removes_from_the_response_in_its_phase() {
        let policy = policy(&one(
            "on_http_response",
            "remove-headers",
            "{headers: [server]}",
        ));
        let (asked, answered) = (lines(&[("server", "a")]), lines(&[("server", "nginx")]));
        let mut exchange = response(&asked, &answered);
        let verdict = policy.on_http_response(&mut exchange).await;
        assert!(matches!(verdict, Verdict::Continue));
        assert!(exchange.response().unwrap().head.lines().is_empty());
        assert!(exchange.request().unwrap().head.edits().is_empty());
    }

    #[test]
    fn what_no_message_goes_without_cannot_be_removed() {
        for names in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "content-*",
            "h*",
            "'*'",
        ] {
            let config = format!("{{headers: [x-a, {names}]}}");
            let message = refused(&one("on_http_request", "remove-headers", &config));
            assert!(message.contains("cannot be removed"), "{message}");
            assert!(message.starts_with("policy.yaml:4:33:"), "{message}");
        }
    }

    #[test]
    fn the_list_has_bounds() {
        for (config, said) in [
            ("{}", "missing field `headers`"),
            (
                "{headers: []}",
                "`headers` needs at least one item (ERR_ADIT_2223)",
            ),
            ("{headers: ['a b']}", "is not a header name (ERR_ADIT_2210)"),
            (
                "{headers: ['a*b*']}",
                "`*` does not stand at the end (ERR_ADIT_2210)",
            ),
            (
                "{headers: ['*a']}",
                "`*` does not stand at the end (ERR_ADIT_2210)",
            ),
            ("{headers: x-a}", "expected a list"),
        ] {
            let message = refused(&one("on_http_request", "remove-headers", config));
            assert!(message.contains(said), "{message}");
        }
        let many = |count: usize| {
            let names: Vec<_> = (0..count).map(|n| format!("a{n}")).collect();
            let config = format!("{{headers: [{}]}}", names.join(", "));
            one("on_http_request", "remove-headers", &config)
        };
        assert!(!policy(&many(100)).is_empty());
        assert!(refused(&many(101)).contains("more than 100 items in `headers` (ERR_ADIT_2212)"));
    }
}
