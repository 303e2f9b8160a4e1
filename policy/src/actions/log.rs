//! `log`: writes values to the gateway's log.

use serde::Deserialize;

use crate::action::{Action, Config, Fault, Flow, Phase, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::{Tree, Value, json};
use crate::taint::Taints;

/// Longest line in bytes; the rest of it is cut.
const LINE_MAX: usize = 16 << 10;
/// Most bytes of all lines that one policy writes for one exchange; the rest is cut.
const EXCHANGE_MAX: usize = 64 << 10;

/// Config of `log`.
///
/// It never stops an exchange. In a rule that is only tried, nothing is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// What to write: a map of anything that YAML has, and each text in it may hold `${…}`. A text that cannot be filled in
    /// becomes `<error: …>`. Up to 16 KiB each time, and 64 KiB for one exchange; what is longer is cut, and its beginning
    /// stands behind `cut`.
    #[serde(deserialize_with = "Tree::map")]
    metadata: Tree,
}

impl Config for Log {
    const TYPE: &'static str = "log";
    const PHASES: &'static [Phase] = &[
        Phase::OnTcpConnect,
        Phase::OnHttpRequest,
        Phase::OnHttpResponse,
    ];
    const RESULTS: Option<&'static str> = Some("log");
    type Action = Self;

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for Log {
    fn on_tcp_connect(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Ok(self.log(exchange))
    }

    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Ok(self.log(exchange))
    }

    fn on_http_response(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        Ok(self.log(exchange))
    }
}

impl Log {
    fn log(&self, exchange: &mut Exchange<'_>) -> Flow {
        let failed = |error| Value::text(format!("<error: {error}>"));
        let metadata = self.metadata.shown(exchange, failed);
        write(exchange, &metadata);
        if exchange.memory.wants_results() {
            let left = Value::map([("metadata", metadata)]);
            // Nothing in it came from a secret: it was made to be shown.
            let memory = &mut exchange.memory;
            memory.set_marked_result("log", left, Taints::default());
        }
        Flow::Next
    }
}

/// Writes a line, within its bounds.
fn write(exchange: &Exchange<'_>, metadata: &Value<'_>) {
    if exchange.memory.is_trial() {
        return;
    }
    let logged = exchange.memory.logged();
    let before = usize::try_from(logged.total()).unwrap_or(usize::MAX);
    let room = EXCHANGE_MAX.saturating_sub(before).min(LINE_MAX);
    if room < cut("", 0).len() {
        return;
    }
    let line = json::encode(metadata);
    // What was cut has used up its room, so that behind the bound of the exchange nothing follows.
    let (line, used) = match line.len() > room {
        true => (cut(&line, room), room),
        false => {
            let used = line.len();
            (line, used)
        }
    };
    logged.add(u64::try_from(used).unwrap_or(u64::MAX));
    let endpoint = exchange.endpoint.url.to_string();
    exchange.env.log().write(&endpoint, &line);
}

/// The beginning of a line as a text in JSON that takes no more than `room`, or nothing but the mark.
fn cut(line: &str, room: usize) -> String {
    let marked = |length: usize| {
        let start = Value::text(line.get(..length).unwrap_or_default());
        json::encode(&Value::map([("cut", start)]))
    };
    let mut length = room.min(line.len());
    loop {
        while !line.is_char_boundary(length) {
            length -= 1;
        }
        let shown = marked(length);
        let excess = shown.len().saturating_sub(room);
        if excess == 0 || length == 0 {
            return shown;
        }
        // What is escaped takes at most six bytes for one.
        length -= excess.div_ceil(6).min(length);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::Policy;
    use crate::env;
    use crate::memory::Memory;
    use crate::testing::{ENV, connection, get, lines, one, refused, response};
    use crate::verdict::Verdict;

    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<String>>);

    impl env::Log for Kept {
        fn write(&self, endpoint: &str, metadata: &str) {
            self.0
                .lock()
                .unwrap()
                .push(format!("{endpoint} {metadata}"));
        }

        fn warn(&self, _: &str, _: &str) {}
    }

    fn keeping() -> (Arc<Kept>, Env) {
        let kept = Arc::new(Kept::default());
        let env = ENV.clone().with_log(Arc::clone(&kept) as _);
        (kept, env)
    }

    fn written(kept: &Kept) -> Vec<String> {
        kept.0.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn writes_one_line_in_each_phase_and_an_error_in_its_place() {
        let metadata = "{metadata: {a: ['${conn.client_ip}', 1], b: \"${conn.tls.sni + vars.x}\"}}";
        let line =
            r#"https://app.example.com {"a":["192.0.2.1",1],"b":"<error: no such key: `vars.x`>"}"#;
        let lines = lines(&[]);
        let (kept, env) = keeping();
        for phase in ["on_tcp_connect", "on_http_request", "on_http_response"] {
            let policy = Policy::load("f", &one(phase, "log", metadata), &env).unwrap();
            let mut exchange = response(&lines, &lines);
            if phase == "on_tcp_connect" {
                exchange = connection();
            }
            exchange.env = &env;
            let verdict = match phase {
                "on_tcp_connect" => policy.on_tcp_connect(&mut exchange).await,
                "on_http_request" => policy.on_http_request(&mut exchange).await,
                _ => policy.on_http_response(&mut exchange).await,
            };
            assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
        }
        assert_eq!(written(&kept), [line, line, line]);
    }

    #[tokio::test]
    async fn leaves_what_it_wrote() {
        let text = one("on_http_request", "log", "{metadata: {a: '${req.method}'}}");
        let lines = lines(&[]);
        let mut exchange = get("/", &lines);
        exchange.memory = Memory::traced();
        let policy = Policy::load("f", &text, &ENV).unwrap();
        assert!(matches!(
            policy.on_http_request(&mut exchange).await,
            Verdict::Continue
        ));
        let metadata = Value::map([("a", Value::text("GET"))]);
        let left = exchange.memory.result("log");
        assert_eq!(left, Some(&Value::map([("metadata", metadata)])));
    }

    #[tokio::test]
    async fn a_rule_that_is_only_tried_writes_nothing() {
        let (kept, env) = keeping();
        let text =
            "on_http_request: [{mode: shadow, actions: [{type: log, config: {metadata: {a: 1}}}]}]";
        let policy = Policy::load("f", text, &env).unwrap();
        let lines = lines(&[]);
        let mut exchange = get("/", &lines);
        exchange.env = &env;
        assert!(matches!(
            policy.on_http_request(&mut exchange).await,
            Verdict::Continue
        ));
        assert_eq!(exchange.memory.shadow().len(), 1);
        assert!(written(&kept).is_empty());
    }

    #[tokio::test]
    async fn a_line_and_an_exchange_are_bounded() {
        let (kept, env) = keeping();
        let rule = "  - actions: [{type: log, config: {metadata: {path: '${req.url.path}'}}}]\n";
        let text = format!("on_http_request:\n{}", rule.repeat(9));
        let policy = Policy::load("f", &text, &env).unwrap();
        let path = format!("/{}", "x".repeat(LINE_MAX - "{\"path\":\"/\"}".len()));
        let lines = lines(&[]);
        for (path, count, cuts) in [
            (path.clone(), 4, 0),
            (path.clone() + "x", 4, 4),
            (path.clone() + "\"\"\"\"\"\"", 4, 4),
            (path[..15 << 10].to_owned(), 5, 1),
        ] {
            let mut exchange = get(&path, &lines);
            exchange.env = &env;
            assert!(matches!(
                policy.on_http_request(&mut exchange).await,
                Verdict::Continue
            ));
            let lines: Vec<_> = std::mem::take(&mut *kept.0.lock().unwrap());
            let lines: Vec<_> = lines
                .iter()
                .map(|line| line.split_once(' ').unwrap().1)
                .collect();
            assert_eq!(lines.len(), count);
            assert!(lines.iter().map(|line| line.len()).sum::<usize>() <= EXCHANGE_MAX);
            let mut cut = 0;
            for line in lines {
                assert!(line.len() <= LINE_MAX);
                let told: serde_json::Value = serde_json::from_str(line).unwrap();
                cut += usize::from(told.get("cut").is_some());
            }
            assert_eq!(cut, cuts);
        }
    }

    #[test]
    fn what_is_cut_is_still_json_within_its_bound() {
        let line = json::encode(&Value::text("\"\u{1}é\\".repeat(100)));
        for room in (10..line.len() * 7).step_by(13) {
            let shown = cut(&line, room);
            assert!(
                shown.len() <= room.max(r#"{"cut":""}"#.len()),
                "{room}: {shown}"
            );
            let told: serde_json::Value = serde_json::from_str(&shown).unwrap();
            assert!(line.starts_with(told["cut"].as_str().unwrap()));
        }
        assert_eq!(cut("abcdef", 13), r#"{"cut":"abc"}"#);
    }

    #[test]
    fn metadata_is_a_map() {
        for (config, said) in [
            ("{}", "missing field `metadata`"),
            ("{metadata: a}", "expected a map"),
            ("{metadata: [a]}", "expected a map"),
            ("{metadata: {a: '${'}}", "(ERR_ADIT_2224)"),
        ] {
            let message = refused(&one("on_http_request", "log", config));
            assert!(message.contains(said), "{message}");
        }
    }
}
