//! What a policy did with one exchange, told to people.

mod json;

use std::borrow::Cow;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::given::Given;
use super::paint::Paint;
use super::run::{Got, PhaseRun, Run, Sent};
use super::shown::{Secrets, outcome, printable};
use super::url::Url;
use crate::action::Phase;
use crate::expr::json as values;
use crate::taint::Taint;
use crate::trace::{ActionTrace, Matched, RuleTrace};
use crate::{Policy, RuleOutline};

/// Longest body that is shown, in bytes.
const BODY_MAX: usize = 1_000;
/// How far the right column begins.
const WIDTH: usize = 60;

/// An exchange and its policy, ready to be printed: `Display` for people, [`json`](Self::json) for programs.
#[derive(Clone, Copy, Debug)]
pub struct Explanation<'r> {
    policy: &'r Policy,
    given: &'r Given,
    run: &'r Run,
    secrets: Secrets,
    paint: Paint,
}

// === impl Explanation ===

impl<'r> Explanation<'r> {
    /// Without colours, and with secrets hidden.
    pub fn of(policy: &'r Policy, given: &'r Given, run: &'r Run) -> Self {
        Self {
            policy,
            given,
            run,
            secrets: Secrets::Hidden,
            paint: Paint::Plain,
        }
    }

    /// The same with or without secrets and colours.
    pub fn with(self, secrets: Secrets, paint: Paint) -> Self {
        Self {
            secrets,
            paint,
            ..self
        }
    }

    fn request(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self
            .given
            .url
            .clone()
            .map_or_else(Url::default, |url| url.0);
        let method = self
            .given
            .method
            .as_ref()
            .map_or("GET", |method| method.0.as_str());
        let client = self.given.client_ip.as_ref();
        let client = client.map_or_else(|| "192.0.2.1".to_owned(), |ip| ip.0.to_string());
        let time = self.given.time.as_ref();
        let time = time.map_or_else(String::new, |time| format!(" at {}", time.0));
        let target = match url.endpoint().scheme {
            crate::endpoint_url::Scheme::Tcp | crate::endpoint_url::Scheme::Tls => String::new(),
            _ => url.target().to_string(),
        };
        let scheme = url.endpoint().scheme;
        let line = format!("{method} {scheme}://{}{target}", url.authority());
        writeln!(f, "{} from {client}{time}", self.paint.bold(&line))?;
        self.headers(f, "  ", &self.given.headers.to_map())
    }

    fn phase(&self, f: &mut fmt::Formatter<'_>, phase: Phase) -> fmt::Result {
        let rules: Vec<_> = self
            .policy
            .outline()
            .filter(|rule| rule.phase == phase)
            .collect();
        if rules.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{}", self.paint.bold(phase.name()))?;
        let mut looked_at = self
            .run
            .trace
            .rules
            .iter()
            .filter(|rule| rule.phase == phase)
            .peekable();
        if looked_at.peek().is_none() {
            return writeln!(f, "  {}", self.paint.dim("did not run"));
        }
        let mut last = 0;
        for rule in looked_at {
            last = rule.rule;
            match rules.get(rule.rule) {
                Some(outline) => self.rule(f, rule, outline)?,
                None => continue,
            }
        }
        match rules.len() - last - 1 {
            0 => Ok(()),
            1 => writeln!(f, "  {}", self.paint.dim("1 more rule was not looked at")),
            more => {
                let words = format!("{more} more rules were not looked at");
                writeln!(f, "  {}", self.paint.dim(&words))
            }
        }
    }

    fn rule(
        &self,
        f: &mut fmt::Formatter<'_>,
        rule: &RuleTrace,
        of: &RuleOutline<'_>,
    ) -> fmt::Result {
        let name = of
            .name
            .map_or_else(String::new, |name| format!(" \"{name}\""));
        let shadow = if rule.shadow {
            " (shadow: only tried)"
        } else {
            ""
        };
        let mark = self.mark(rule.matched == Matched::Yes);
        let index = rule.rule;
        writeln!(
            f,
            "  {mark} {}[{index}]{name}{}",
            rule.phase,
            self.paint.dim(shadow)
        )?;
        let decided = match &rule.matched {
            Matched::Yes => of.expressions.len(),
            Matched::No { expression } | Matched::Failed { expression, .. } => *expression,
        };
        for text in of.expressions.iter().take(decided) {
            self.two(f, &format!("      {} {text}", self.mark(true)), "true")?;
        }
        if let Some(text) = of.expressions.get(decided) {
            let why = match &rule.matched {
                Matched::Failed { error, .. } => format!("failed: {error}"),
                _ => "false".to_owned(),
            };
            self.two(f, &format!("      {} {text}", self.mark(false)), &why)?;
        }
        rule.actions
            .iter()
            .try_for_each(|action| self.action(f, action))
    }

    fn action(&self, f: &mut fmt::Formatter<'_>, action: &ActionTrace) -> fmt::Result {
        let took = match action.took.is_zero() {
            true => String::new(),
            false => format!(" ({:.1} µs)", action.took.as_secs_f64() * 1e6),
        };
        let said = format!("{}{}", outcome(&action.outcome), self.paint.dim(&took));
        self.two(f, &format!("      {}", action.kind), &said)?;
        for edit in &action.edits {
            writeln!(f, "          {}", self.secrets.edit(edit))?;
        }
        if let Some(target) = &action.target {
            writeln!(f, "          the path is now {target}")?;
        }
        if let Some((name, value)) = &action.result {
            let left = self.secrets.json(name, values::to_json(value));
            writeln!(f, "          actions.ngrok.{name} = {left}")?;
        }
        Ok(())
    }

    fn end(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.run.verdict();
        write!(
            f,
            "\n{} {}",
            self.paint.bold("verdict:"),
            self.paint.bold(verdict)
        )?;
        if let Some(PhaseRun {
            by,
            code,
            reason,
            forward_to,
            ..
        }) = self.run.end()
        {
            by.iter().try_for_each(|by| write!(f, ", by {by}"))?;
            forward_to
                .iter()
                .try_for_each(|to| write!(f, ", to {to}"))?;
            reason
                .iter()
                .try_for_each(|reason| write!(f, ": {reason}"))?;
            code.iter()
                .try_for_each(|code| write!(f, " (ERR_ADIT_{code})"))?;
        }
        writeln!(f)?;
        for (name, value) in &self.run.vars {
            let value = self.secrets.json(name, values::to_json(value));
            writeln!(f, "  vars.{name} = {value}")?;
        }
        for sent in &self.run.fetched {
            let url = shown_if(!sent.is_secret, &sent.url);
            writeln!(f, "  the policy itself asks {} {url}", sent.method)?;
        }
        for line in &self.run.logged {
            writeln!(f, "  the policy logs {line}")?;
        }
        for line in &self.run.warned {
            writeln!(f, "  the operator is warned: {line}")?;
        }
        let parts = &self.run.secret_parts;
        match &self.run.upstream {
            Some(Sent {
                method,
                url,
                headers,
                body,
                ..
            }) => {
                let url = parts.target.hide(url.clone());
                writeln!(f, "the service gets {method} {url}")?;
                self.headers(f, "  ", headers)?;
                body_of(f, body, &parts.request_body)?;
            }
            None => writeln!(f, "the service is not asked")?,
        }
        match &self.run.client {
            Some(Got {
                status,
                headers,
                body,
            }) => {
                writeln!(f, "the client gets {}", status.as_u16())?;
                self.headers(f, "  ", headers)?;
                body_of(f, body, &parts.response_body)
            }
            None if self.run.upstream.is_none() && verdict != "continue" => {
                writeln!(f, "the client's connection is closed")
            }
            None => Ok(()),
        }
    }

    fn headers(&self, f: &mut fmt::Formatter<'_>, indent: &str, lines: &HeaderMap) -> fmt::Result {
        lines
            .iter()
            .map(|(name, value)| (name, self.value(name, value)))
            .try_for_each(|(name, value)| writeln!(f, "{indent}{name}: {value}"))
    }

    /// A header's value as it may be shown; a secret by its name, where that is known.
    fn value<'v>(&self, name: &HeaderName, value: &'v HeaderValue) -> Cow<'v, str> {
        match self.run.secret_parts.of_line(value) {
            Taint::None => self.secrets.value(name, value),
            secret => Cow::Owned(secret.to_string()),
        }
    }

    /// Two columns; the left one is never cut.
    fn two(&self, f: &mut fmt::Formatter<'_>, left: &str, right: &str) -> fmt::Result {
        let invisible = if left.contains('\x1b') {
            self.paint.weight()
        } else {
            0
        };
        writeln!(f, "{left:<0$}  {right}", WIDTH + invisible)
    }

    fn mark(&self, is_yes: bool) -> String {
        match is_yes {
            true => self.paint.with("32", "✓"),
            false => self.paint.with("31", "✗"),
        }
    }
}

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request(f)?;
        Phase::ALL
            .iter()
            .try_for_each(|phase| self.phase(f, *phase))?;
        self.end(f)
    }
}

fn shown_if(may_be: bool, text: &str) -> Cow<'_, str> {
    match may_be {
        true => Cow::Borrowed(text),
        false => Cow::Owned(Taint::Unnamed.to_string()),
    }
}

fn body_of(f: &mut fmt::Formatter<'_>, body: &[u8], taint: &Taint) -> fmt::Result {
    if body.is_empty() {
        return Ok(());
    }
    if taint.is_secret() {
        return writeln!(f, "\n  {taint}");
    }
    let shown = body.get(..BODY_MAX).unwrap_or(body);
    writeln!(f)?;
    for line in shown.split(|byte| *byte == b'\n') {
        if !line.is_empty() {
            writeln!(f, "  {}", printable(line))?;
        }
    }
    match body.len().checked_sub(BODY_MAX) {
        Some(more) if more > 0 => writeln!(f, "  … and {more} bytes more"),
        _ => Ok(()),
    }
}
