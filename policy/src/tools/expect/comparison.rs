//! How an exchange differs from what is expected of it.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, Method};
use serde_json::Value as Json;

use super::{Code, Difference, Expect, ExpectUpstream};
use crate::action::Phase;
use crate::body::decode::Decode;
use crate::body::{BODY_MAX, Transform};
use crate::document::Step;
use crate::expr::{Value, json};
use crate::memory::SecretParts;
use crate::taint::Taint;
use crate::tools::run::{PhaseRun, Run};
use crate::tools::said::{Lines, Said, Texts};
use crate::tools::shown::{Secrets, printable};
use crate::trace::{Matched, RuleTrace};

/// In the place of an expectation that would tell a secret.
const HIDDEN: &str = "another text, which is not shown: it stands in the case";

/// Collects differences.
struct Comparison<'r> {
    differences: Vec<Difference>,
    way: Vec<Step>,
    /// Where secrets went in the exchange.
    parts: &'r SecretParts,
}

// === impl Expect ===

impl Expect {
    /// Everything that is not as expected.
    pub fn differences(&self, run: &Run) -> Vec<Difference> {
        let mut c = Comparison {
            differences: Vec::new(),
            way: Vec::new(),
            parts: &run.secret_parts,
        };
        self.ending(run, &mut c);
        self.client(run, &mut c);
        if let Some(expected) = &self.upstream {
            c.inside("upstream", |c| match &run.upstream {
                Some(sent) => {
                    let target = (Some(sent.url.as_str()), Some(sent.path.as_str()));
                    let taints = (&c.parts.target, &c.parts.request_body);
                    expected.compare(&sent.method, target, &sent.headers, &sent.body, taints, c);
                }
                None => c.differs("a request", "the service is not asked"),
            });
        }
        self.rules(run, &mut c);
        c.values(
            "vars",
            &self.vars,
            run.vars.iter().map(|(n, v)| (n.as_str(), v)),
        );
        c.values(
            "results",
            &self.results,
            run.results.iter().map(|(n, v)| (*n, v)),
        );
        self.outside(run, &mut c);
        c.differences
    }

    fn ending(&self, run: &Run, c: &mut Comparison<'_>) {
        let end = run.end();
        if let Some(expected) = self.verdict {
            c.texts("verdict", expected.name(), run.verdict());
        }
        if let Some(Said(Code(expected))) = self.code {
            let got = end.and_then(|end| end.code);
            let got = got.map_or_else(|| "none".to_owned(), |code| format!("ERR_ADIT_{code}"));
            c.texts("code", &format!("ERR_ADIT_{expected}"), &got);
        }
        if let Some(expected) = &self.reason {
            let got = end.and_then(|end| end.reason.as_deref());
            if !got.is_some_and(|got| got.contains(expected.as_str())) {
                let got = got.unwrap_or("none");
                c.inside("reason", |c| c.differs(&format!("… {expected} …"), got));
            }
        }
        if let Some(expected) = &self.forward_to {
            let to = |phase: &PhaseRun| phase.forward_to.clone();
            let got = run.phases.iter().find_map(to);
            c.texts("forward_to", expected, got.as_deref().unwrap_or("none"));
        }
    }

    fn client(&self, run: &Run, c: &mut Comparison<'_>) {
        let is_asked = self.status.is_some()
            || !self.headers.0.is_empty()
            || self.body.is_some()
            || !self.body_contains.0.is_empty();
        let Some(got) = &run.client else {
            if is_asked {
                c.differs("a response", "the client gets none");
            }
            return;
        };
        if let Some(Said(status)) = self.status {
            c.texts("status", status.as_str(), got.status.as_str());
        }
        c.lines(&self.headers, &got.headers);
        if self.body.is_none() && self.body_contains.0.is_empty() {
            return;
        }
        let body = decoded(&got.headers, &got.body);
        if let Some(Said(expected)) = &self.body {
            c.marked("body", expected, &body, &c.parts.response_body);
        }
        c.inside("body_contains", |c| {
            for (index, expected) in self.body_contains.0.iter().enumerate() {
                if !body.contains(expected.as_str()) {
                    let expected = format!("… {expected} …");
                    c.differs_at(index, &expected, &body, &c.parts.response_body);
                }
            }
        });
    }

    fn rules(&self, run: &Run, c: &mut Comparison<'_>) {
        if let Some(Texts(expected)) = &self.rules {
            let fired = run.trace.rules.iter();
            let fired = fired.filter(|rule| !rule.shadow && rule.matched == Matched::Yes);
            c.names(
                "rules",
                expected,
                fired.map(|rule| (rule.phase, rule.rule, name(rule))),
            );
        }
        if let Some(Texts(expected)) = &self.shadow {
            let fired = run.shadow.iter();
            let fired = fired.filter(|record| record.matched == Matched::Yes);
            let fired = fired.map(|record| (record.phase, record.rule, record.name.as_deref()));
            c.names("shadow", expected, fired);
        }
        if let Some(Texts(expected)) = &self.edits {
            let actions = run.trace.rules.iter().flat_map(|rule| &rule.actions);
            let edits = actions.flat_map(|action| &action.edits);
            let got: Vec<_> = edits.map(|edit| Secrets::Shown.edit(edit)).collect();
            c.texts("edits", &expected.join("\n"), &got.join("\n"));
        }
    }

    fn outside(&self, run: &Run, c: &mut Comparison<'_>) {
        if let Some(expected) = &self.fetched {
            c.inside("fetched", |c| {
                let count = (expected.len(), run.fetched.len());
                if count.0 != count.1 {
                    let urls = run.fetched.iter().map(|sent| match sent.is_secret {
                        true => "[secret]",
                        false => sent.url.as_str(),
                    });
                    let urls: Vec<_> = urls.collect();
                    let got = format!("{}: {}", count.1, urls.join(", "));
                    c.differs(&format!("{} requests", count.0), &got);
                }
                for (index, (expected, sent)) in expected.iter().zip(&run.fetched).enumerate() {
                    c.inside(index, |c| {
                        let url = Some(sent.url.as_str());
                        let taint = match sent.is_secret {
                            true => &Taint::Unnamed,
                            false => &Taint::None,
                        };
                        let taints = (taint, taint);
                        expected.compare(
                            &sent.method,
                            (url, None),
                            &sent.headers,
                            &sent.body,
                            taints,
                            c,
                        );
                    });
                }
            });
        }
        if let Some(expected) = &self.log {
            let read = |line: &String| serde_json::from_str(line).unwrap_or(Json::Null);
            let got: Vec<Json> = run.logged.iter().map(read).collect();
            c.inside("log", |c| {
                c.json(&Json::from(expected.clone()), &Json::from(got))
            });
        }
    }
}

impl ExpectUpstream {
    fn compare(
        &self,
        method: &Method,
        (url, path): (Option<&str>, Option<&str>),
        headers: &HeaderMap,
        body: &[u8],
        (url_taint, body_taint): (&Taint, &Taint),
        c: &mut Comparison<'_>,
    ) {
        if let Some(Said(expected)) = &self.method {
            c.texts("method", expected.as_str(), method.as_str());
        }
        for (key, expected, got) in [("url", &self.url, url), ("path", &self.path, path)] {
            if let Some(expected) = expected {
                let got = got.unwrap_or("nothing that can be compared: use `url`");
                c.marked(key, expected, got, url_taint);
            }
        }
        c.lines(&self.headers, headers);
        if let Some(Said(expected)) = &self.body {
            c.marked("body", expected, &String::from_utf8_lossy(body), body_taint);
        }
    }
}

// === impl Comparison ===

impl Comparison<'_> {
    fn inside<T>(&mut self, step: impl Into<Step>, compare: impl FnOnce(&mut Self) -> T) -> T {
        self.way.push(step.into());
        let compared = compare(self);
        self.way.pop();
        compared
    }

    fn differs(&mut self, expected: &str, got: &str) {
        self.differences.push(Difference {
            way: self.way.clone(),
            expected: expected.to_owned(),
            got: got.to_owned(),
        });
    }

    fn texts(&mut self, key: &str, expected: &str, got: &str) {
        if expected != got {
            self.inside(key, |c| c.differs(expected, got));
        }
    }

    /// The same for what may have come from a secret. What is expected would tell it, too.
    fn marked(&mut self, key: impl Into<Step>, expected: &str, got: &str, taint: &Taint) {
        if expected != got {
            self.differs_at(key, expected, got, taint);
        }
    }

    fn differs_at(&mut self, key: impl Into<Step>, expected: &str, got: &str, taint: &Taint) {
        self.inside(key, |c| match taint {
            Taint::None => c.differs(expected, got),
            secret => c.differs(HIDDEN, &secret.to_string()),
        });
    }

    fn lines(&mut self, expected: &Lines, got: &HeaderMap) {
        self.inside("headers", |c| {
            for (name, values) in &expected.0 {
                let lines = got.get_all(name).iter();
                let taint = lines.fold(Taint::None, |all, line| all.and(c.parts.of_line(line)));
                let got = texts(got, name);
                let wanted = values.clone().unwrap_or_default();
                if got != wanted {
                    c.differs_at(name.as_str(), &listed(&wanted), &listed(&got), &taint);
                }
            }
        });
    }

    /// Rules, told by names, by place or by index.
    fn names<'r>(
        &mut self,
        key: &str,
        expected: &[String],
        got: impl Iterator<Item = (Phase, usize, Option<&'r str>)>,
    ) {
        let got: Vec<_> = got.collect();
        let is_named = |text: &String, (phase, index, name): &(Phase, usize, Option<&str>)| {
            let by_index = *phase == Phase::OnHttpRequest && text.parse() == Ok(*index);
            *name == Some(text.as_str()) || *text == format!("{phase}[{index}]") || by_index
        };
        let fits = expected.len() == got.len()
            && expected
                .iter()
                .zip(&got)
                .all(|(text, rule)| is_named(text, rule));
        if fits {
            return;
        }
        let told = |(phase, index, name): &(Phase, usize, Option<&str>)| match name {
            Some(name) => (*name).to_owned(),
            None => format!("{phase}[{index}]"),
        };
        let told: Vec<_> = got.iter().map(told).collect();
        self.inside(key, |c| c.differs(&listed(expected), &listed(&told)));
    }

    fn values<'r>(
        &mut self,
        key: &str,
        expected: &BTreeMap<String, Json>,
        got: impl Iterator<Item = (&'r str, &'r Value<'static>)>,
    ) {
        let got: BTreeMap<_, _> = got
            .map(|(name, value)| (name, json::to_json(value)))
            .collect();
        self.inside(key, |c| {
            for (name, expected) in expected {
                let got = got.get(name.as_str()).unwrap_or(&Json::Null);
                c.inside(name.as_str(), |c| c.json(expected, got));
            }
        });
    }

    /// Of a map, only what is named is compared.
    fn json(&mut self, expected: &Json, got: &Json) {
        match (expected, got) {
            (Json::Object(expected), Json::Object(got)) => {
                for (key, expected) in expected {
                    let got = got.get(key).unwrap_or(&Json::Null);
                    self.inside(key.as_str(), |c| c.json(expected, got));
                }
            }
            (Json::Array(expected), Json::Array(got)) if expected.len() == got.len() => {
                for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                    self.inside(index, |c| c.json(expected, got));
                }
            }
            (Json::Number(a), Json::Number(b)) if a.as_f64() == b.as_f64() => {}
            _ if expected == got => {}
            _ => self.differs(&expected.to_string(), &got.to_string()),
        }
    }
}

fn name(rule: &RuleTrace) -> Option<&str> {
    rule.name.as_deref()
}

fn texts(lines: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = lines.get_all(name).iter();
    lines
        .map(|line| printable(line.as_bytes()).into_owned())
        .collect()
}

fn listed(texts: &[String]) -> String {
    match texts {
        [] => "none".to_owned(),
        texts => texts.join(", "),
    }
}

/// The body as it reads without its content coding; one that cannot be undone stays.
fn decoded(headers: &HeaderMap, body: &[u8]) -> String {
    let undone = || {
        let mut body = bytes::BytesMut::from(body);
        for mut layer in Decode::all(headers, BODY_MAX).ok()? {
            let mut plain = bytes::BytesMut::new();
            layer.push(&body, &mut plain).ok()?;
            layer.end(&mut plain).ok()?;
            body = plain;
        }
        Some(body)
    };
    match undone() {
        Some(plain) => String::from_utf8_lossy(&plain).into_owned(),
        None => String::from_utf8_lossy(body).into_owned(),
    }
}
