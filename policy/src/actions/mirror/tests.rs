//! Tests of `mirror`.

use http::{HeaderMap, Method};

use crate::Policy;
use crate::env::{Env, KnownSecrets};
use crate::exchange::Exchange;
use crate::mirror::{Copied, Mirror, Skipped};
use crate::testing::{ENV, get, lines, one, policy, refused, request};
use crate::verdict::Verdict;

const Q: &str = "on_http_request";
const TO: &str = "url: 'https://candidate.internal'";

fn mirrored(config: &str) -> Policy {
    policy(&one(Q, "mirror", config))
}

/// What a policy plans for an exchange that it does not touch.
async fn planned(policy: &Policy, exchange: &mut Exchange<'_>) -> Vec<Mirror> {
    let verdict = policy.on_http_request(exchange).await;
    assert!(matches!(verdict, Verdict::Continue), "{verdict:?}");
    exchange.memory.take_mirrors()
}

async fn copy(config: &str, lines: &HeaderMap) -> Result<Box<Copied>, Skipped> {
    let mut mirrors = planned(&mirrored(config), &mut request(lines)).await;
    assert_eq!(mirrors.len(), 1);
    mirrors.remove(0).copy
}

#[tokio::test]
async fn a_copy_is_the_request_as_the_action_left_it() {
    let before = "{type: add-headers, config: {headers: {x-before: '1'}}}, {type: url-rewrite, config: {from: /a, to: /b}}";
    let after = "{type: add-headers, config: {headers: {x-after: '1'}}}, {type: url-rewrite, config: {from: /b, to: /c}}";
    let text =
        format!("{Q}: [{{actions: [{before}, {{type: mirror, config: {{{TO}}}}}, {after}]}}]");
    let from = lines(&[
        ("x-own", "1"),
        ("content-length", "5"),
        ("connection", "close"),
        ("te", "trailers"),
    ]);
    let mut exchange = get("/a?q=%20", &from);
    let mirrors = planned(&policy(&text), &mut exchange).await;
    let copied = mirrors[0].copy.as_deref().unwrap();
    assert_eq!(copied.url.to_string(), "https://candidate.internal");
    assert_eq!(copied.target, "/b?q=%20");
    assert_eq!(copied.method, Method::GET);
    let mut names: Vec<_> = copied.lines.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "x-before", "x-own"]);
    assert_eq!(copied.lines["host"], "app.example.com");
    assert!(
        exchange
            .request()
            .unwrap()
            .head
            .lines()
            .contains_key("x-after")
    );
    assert!(
        exchange.memory.take_mirrors().is_empty(),
        "they are given away once"
    );
}

#[tokio::test]
async fn credentials_are_copied_only_if_they_are_wanted() {
    let from = lines(&[
        ("authorization", "Bearer x"),
        ("cookie", "a=b"),
        ("proxy-authorization", "x"),
        ("x-api-key", "x"),
        ("x-other", "1"),
        ("x-more", "1"),
    ]);
    let none = copy(&format!("{{{TO}, remove_headers: [X-More]}}"), &from)
        .await
        .unwrap();
    let mut names: Vec<_> = none.lines.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "x-other"]);
    let all = copy(&format!("{{{TO}, credentials: true}}"), &from)
        .await
        .unwrap();
    assert_eq!(all.lines.len(), 7);
}

#[tokio::test]
async fn what_came_from_a_secret_is_not_copied_either() {
    let mut known = KnownSecrets::default();
    known.insert("web", "key", crate::secret::Secret::new("hidden"));
    let env = ENV.clone().with_secrets(std::sync::Arc::new(known));
    let secret = "${secrets.get(\"web\", \"key\")}";
    let load = |text: &str, env: &Env| Policy::load("policy.yaml", text, env).unwrap();
    let with = |before: &str, more: &str| {
        format!("{Q}: [{{actions: [{before}, {{type: mirror, config: {{{TO}{more}}}}}]}}]")
    };
    let header = format!("{{type: add-headers, config: {{headers: {{x-key: '{secret}'}}}}}}");
    let target = format!("{{type: url-rewrite, config: {{to: '/{secret}'}}}}");
    let none = HeaderMap::new();
    for (before, more, header, copies) in [
        (&header, "", false, true),
        (&header, ", credentials: true", true, true),
        (&target, "", false, false),
        (&target, ", credentials: true", false, true),
    ] {
        let policy = load(&with(before, more), &env);
        let mut exchange = Exchange {
            env: &env,
            ..request(&none)
        };
        let mirrors = planned(&policy, &mut exchange).await;
        match &mirrors[0].copy {
            Ok(copied) => assert_eq!(copied.lines.contains_key("x-key"), header, "{before}{more}"),
            Err(skipped) => assert_eq!(*skipped, Skipped::Secret),
        }
        assert_eq!(mirrors[0].copy.is_ok(), copies, "{before}{more}");
    }
}

#[tokio::test]
async fn only_named_methods_and_the_chosen_share_are_copied() {
    let none = HeaderMap::new();
    let post = Method::POST;
    for (config, method, count) in [
        ("", &Method::GET, 1),
        ("", &post, 0),
        (", methods: [post]", &post, 1),
        (", methods: [POST]", &Method::GET, 0),
        (", percentage: 0", &Method::GET, 0),
        (", percentage: 100", &Method::GET, 1),
    ] {
        let mut exchange = request(&none);
        exchange.request.as_mut().unwrap().method = method;
        let policy = mirrored(&format!("{{{TO}{config}}}"));
        assert_eq!(
            planned(&policy, &mut exchange).await.len(),
            count,
            "{config} {method}"
        );
    }
    let env = Env::system();
    let policy = mirrored(&format!("{{{TO}, percentage: 12.5}}"));
    let mut copies = 0;
    for _ in 0..4000 {
        let mut exchange = Exchange {
            env: &env,
            ..request(&none)
        };
        copies += planned(&policy, &mut exchange).await.len();
    }
    // 500 are expected; seven standard deviations are 146.
    assert!((354..646).contains(&copies), "{copies}");
}

#[tokio::test]
async fn streams_and_a_fourth_copy_are_skipped() {
    for stream in [
        ("upgrade", "websocket"),
        ("content-type", "application/grpc+proto"),
        ("accept", "text/html, text/event-stream"),
    ] {
        let skipped = copy(&format!("{{{TO}}}"), &lines(&[stream])).await;
        assert_eq!(skipped.unwrap_err(), Skipped::Stream, "{stream:?}");
    }
    let action = format!("{{type: mirror, config: {{{TO}}}}}");
    let text = format!("{Q}: [{{actions: [{}]}}]", vec![action; 4].join(", "));
    let mirrors = planned(&policy(&text), &mut request(&HeaderMap::new())).await;
    let copies: Vec<_> = mirrors.iter().map(|mirror| mirror.copy.is_ok()).collect();
    assert_eq!(copies, [true, true, true, false]);
    assert_eq!(mirrors[3].copy.as_ref().unwrap_err(), &Skipped::TooMany);
}

#[tokio::test]
async fn a_url_that_cannot_be_made_is_the_mirrors_trouble_and_not_the_clients() {
    let config = "{url: 'https://${req.headers[\"x-to\"][0]}.internal'}";
    for to in [&[][..], &[("x-to", "a/b")]] {
        assert_eq!(copy(config, &lines(to)).await.unwrap_err(), Skipped::Url);
    }
    let copied = copy(config, &lines(&[("x-to", "next")])).await.unwrap();
    assert_eq!(copied.url.to_string(), "https://next.internal");
}

#[tokio::test]
async fn settings_have_defaults_and_an_id() {
    for (config, id) in [
        (format!("{{{TO}}}"), "https://candidate.internal"),
        (format!("{{{TO}, id: next}}"), "next"),
        (
            "{url: 'https://${conn.client_ip}.internal'}".to_owned(),
            "computed",
        ),
    ] {
        let none = HeaderMap::new();
        let mirrors = planned(&mirrored(&config), &mut request(&none)).await;
        let settings = &mirrors[0].settings;
        assert_eq!(settings.id, id);
        assert_eq!((settings.max_body, settings.timeout.as_secs()), (65_536, 5));
        assert!(settings.compare.status && settings.compare.body);
    }
}

#[tokio::test]
async fn a_rule_in_shadow_mode_copies_nothing() {
    let text =
        one(Q, "mirror", &format!("{{{TO}}}")).replace("- actions", "- mode: shadow\n    actions");
    let none = HeaderMap::new();
    let mut exchange = request(&none);
    assert!(planned(&policy(&text), &mut exchange).await.is_empty());
    let decision = &exchange.memory.shadow()[0].decision;
    assert_eq!(
        *decision,
        Some((0, "mirror", crate::trace::Outcome::WouldRun))
    );
}

#[test]
fn a_wrong_config_is_refused() {
    for (config, said) in [
        ("{}", "missing field `url`"),
        (
            "{url: 'tcp://b.internal:22'}",
            "a request cannot go to a tcp endpoint, only to http or https (ERR_ADIT_2205)",
        ),
        (
            "{url: 'https://b.internal/a'}",
            "has no path, only scheme, host and port (ERR_ADIT_2226)",
        ),
        (
            "{url: 'https://b', percentage: 101}",
            "101 is not a percentage from 0 to 100 (ERR_ADIT_2215)",
        ),
        (
            "{url: 'https://b', percentage: -1}",
            "-1 is not a percentage",
        ),
        (
            "{url: 'https://b', id: 'a b'}",
            "an `id` is 1 to 64 letters, digits and -_.:/ (ERR_ADIT_2204)",
        ),
        (
            "{url: 'https://b', methods: [CONNECT]}",
            "`CONNECT` is no method that can be mirrored (ERR_ADIT_2222)",
        ),
        (
            "{url: 'https://b', methods: []}",
            "`methods` needs at least one item (ERR_ADIT_2223)",
        ),
        (
            "{url: 'https://b', max_body: 2MiB}",
            "`max_body` is at most 1MiB (ERR_ADIT_2215)",
        ),
        (
            "{url: 'https://b', timeout: 0s}",
            "`timeout` is not 0 (ERR_ADIT_2204)",
        ),
        (
            "{url: 'https://b', timeout: 2m}",
            "longer than 60s (ERR_ADIT_2225)",
        ),
        (
            "{url: 'https://b', compare: {ignore: [time]}}",
            "`time` is no path into JSON; write it as in $.time",
        ),
        (
            "{url: 'https://b', compare: {ignore: [$]}}",
            "write `body: false` instead",
        ),
        (
            "{url: 'https://b', compare: {boddy: true}}",
            "did you mean `body`?",
        ),
    ] {
        let message = refused(&one(Q, "mirror", config));
        assert!(message.contains(said), "{config}: {message}");
    }
}
