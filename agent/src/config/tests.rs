//! Tests of `adit.yaml`, over text and over files.

use std::{fs, path::PathBuf};

use super::*;
use crate::{HealthCheck, Protocol};

/// A folder for one test, empty at its start.
fn folder(name: &str) -> PathBuf {
    let folder =
        std::env::temp_dir().join(format!("adit-agent-config-{}-{name}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::build(File::parse(Path::new("adit.yaml"), text)?)
}

fn refused(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn reads_every_key_of_the_reference() {
    let config = parse(include_str!("every_key.yaml")).unwrap();
    let agent = &config.agent;
    assert_eq!(agent.authtoken.as_ref().unwrap().expose(), "adit_0123");
    assert_eq!(
        agent.connect_url.as_ref().unwrap().to_string(),
        "example.com:443"
    );
    assert_eq!(agent.connect_cas, ConnectCas::File("ca.pem".into()));
    assert_eq!(agent.connect_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(
        (agent.console_ui, agent.log.clone()),
        (ConsoleUi::Never, Log::Stdout)
    );
    assert_eq!(
        (agent.log_level, agent.log_format),
        (LogLevel::Warn, LogFormat::Logfmt)
    );

    let app = &config.endpoints[0];
    assert_eq!(app.upstream.to_string(), "http://localhost:3000");
    let check = HealthCheck::http("/healthz?deep=1").unwrap();
    let check = check.host("app.example.com").unwrap();
    let check = check.statuses("200-299,401").unwrap();
    let check = check.interval(Duration::from_secs(1)).up_after(2);
    let check = check.timeout(Duration::from_millis(500)).down_after(3);
    assert_eq!(app.upstream.check, Some(check));
    let spec = app.options.clone().into_spec(String::new()).unwrap();
    assert_eq!(
        (spec.name.as_str(), spec.url.as_str()),
        ("app", "https://app.example.com")
    );
    assert_eq!(
        (spec.weight, spec.tier, spec.pooling_enabled),
        (50, 1, true)
    );
    assert!(spec.traffic_policy.unwrap().contains("on_http_request"));
    let by_name = HealthCheck::grpc("my.Service").unwrap();
    assert_eq!(config.endpoints[1].upstream.check, Some(by_name));
    let grpc = config.endpoints[1]
        .options
        .clone()
        .into_spec(String::new())
        .unwrap();
    assert_eq!(
        (grpc.protocol, grpc.url.as_str()),
        (Protocol::Http2, "http://")
    );

    assert_eq!(config.warnings.len(), 18, "{:#?}", config.warnings);
    assert_eq!(
        config.warnings[0],
        "agent.api_key has no effect in this version"
    );
}

#[test]
fn the_least_is_a_version() {
    let config = parse("version: 3\nagent: {}\n").unwrap();
    assert!(config.endpoints.is_empty() && config.warnings.is_empty());
}

#[test]
fn a_mistake_has_its_place_and_a_caret() {
    let key = refused("version: 3\nagent: {authtokn: x}\n");
    assert!(
        key.starts_with("adit.yaml:2:9: agent: unknown field `authtokn`, expected one of"),
        "{key}"
    );
    assert!(
        key.ends_with("\n      |         ^\ndid you mean `authtoken`?"),
        "{key}"
    );
    let upstream = refused("version: 3\nendpoints:\n  - {name: a, upstream: {url: '::1:3000'}}\n");
    assert!(
        upstream.starts_with(
            "adit.yaml:3:31: endpoints[0] \"a\".upstream.url: \"::1:3000\" is ambiguous"
        ),
        "{upstream}"
    );
    let url =
        refused("version: 3\nendpoints:\n  - {name: a, url: 'tls://:22', upstream: {url: 22}}\n");
    assert!(
        url.contains("adit.yaml:3:20") && url.contains("tls:// endpoints are not available"),
        "{url}"
    );
}

#[test]
fn a_mistake_in_a_health_check_has_its_place() {
    let with = |check: &str| {
        format!(
            "version: 3\nendpoints:\n  - {{name: a, upstream: {{url: 80, health_check: {check}}}}}\n"
        )
    };
    let path = "write a path such as /healthz, tcp, grpc, or grpc:NAME";
    let one = "exactly one of http: PATH, tcp: true and grpc: NAME";
    for (check, column, says) in [
        ("healthz", 49, path),
        ("{}", 49, one),
        ("{tcp: false}", 49, one),
        ("{tcp: true, http: /a}", 49, one),
        ("{http: healthz}", 56, "is not a path"),
        ("{http: /, statuses: 2xx}", 69, "200-399, or 200-299,401"),
        ("{http: /, interval: 5}", 69, "duration"),
        ("{http: /, interval: 10ms}", 49, "from 100ms to 1h"),
        ("{http: /, timeout: 0s}", 49, "more than 0s"),
        ("{http: /, up_after: 0}", 49, "at least 1"),
        ("{http: /, hostt: a}", 59, "did you mean `host`?"),
        (
            "{tcp: true, statuses: 200}",
            49,
            "belongs to a check by http",
        ),
        ("{grpc: \"\", host: \"a b\"}", 49, "is not a host"),
    ] {
        let refused = refused(&with(check));
        let place = format!("adit.yaml:3:{column}: ");
        assert!(
            refused.starts_with(&place) && refused.contains(says),
            "{check}: {refused}"
        );
    }
    for check in [
        "tcp",
        "/up",
        "grpc",
        "{grpc: \"\"}",
        "{http: /, statuses: 204}",
    ] {
        parse(&with(check)).unwrap();
    }
}

#[test]
fn other_versions_are_told_what_to_do() {
    for (text, says) in [
        (
            "version: 2\nauthtoken: x\n",
            "adit.yaml: version 2 is not read: write `version: 3`",
        ),
        ("authtoken: x\n", "it needs `version: 3`"),
        ("", "it needs `version: 3`"),
        ("version: 4\n", "version 4 is not known"),
        (
            "version: 3\ntunnels: {a: {addr: 80}}\n",
            "`tunnels` is of version 2: write each as one of `endpoints:`",
        ),
    ] {
        let refused = refused(text);
        assert!(refused.contains(says), "{refused}");
    }
}

#[test]
fn what_would_be_served_to_the_wrong_people_is_refused() {
    let endpoint = |more: &str| {
        refused(&format!(
            "version: 3\nendpoints: [{{name: a, upstream: {{url: 80}}, {more}}}]\n"
        ))
    };
    assert!(endpoint("bindings: [internal]").contains("needs a url below .internal"));
    assert!(endpoint("bindings: [public], url: a.internal").contains("reached by policies only"));
    for bindings in ["[]", "[kubernetes]", "[public, internal]"] {
        let refused = endpoint(&format!("bindings: {bindings}"));
        assert!(
            refused.contains("only `bindings: [public]` and"),
            "{refused}"
        );
    }
    assert!(endpoint("agent_tls_termination: {}").contains("not available"));
    assert!(
        endpoint(
            "traffic_policy: {on_http_request: [{actions: [{type: deny}]}]}, traffic_policy_file: p"
        )
        .contains("exclude each other")
    );
    assert!(refused("version: 3\nendpoints: [{name: a}]\n").contains("it needs upstream.url"));
    assert!(
        refused("version: 3\nendpoints: [{name: a, upstream: {url: 80}}, {name: a, upstream: {url: 81}}]\n")
            .contains("the same name")
    );
}

#[test]
fn a_tcp_endpoint_carries_bytes_and_has_no_requests() {
    let endpoint = |more: &str| parse(&format!("version: 3\nendpoints: [{{name: a, {more}}}]\n"));
    for (url, canonical) in [
        ("tcp://:20022", "tcp://:20022"),
        ("TCP://DB.internal:5432", "tcp://db.internal:5432"),
    ] {
        let config = endpoint(&format!("url: '{url}', upstream: {{url: 22}}")).unwrap();
        let [only] = &config.endpoints[..] else {
            panic!("{config:?}")
        };
        assert_eq!(only.upstream.to_string(), "tcp://localhost:22");
        let spec = only.options.clone().into_spec(String::new()).unwrap();
        assert_eq!(
            (spec.url.as_str(), spec.protocol),
            (canonical, Protocol::Tcp)
        );
    }
    assert!(
        endpoint("url: 'tcp://a.internal:1', bindings: [internal], upstream: {url: 22}").is_ok()
    );
    for (more, says) in [
        (
            "url: 'tcp://', upstream: {url: 'http://h'}",
            "not http://h:80",
        ),
        (
            "url: a.example.com, upstream: {url: 'tcp://h:22'}",
            "give the endpoint a tcp:// url",
        ),
        (
            "url: 'tcp://', upstream: {url: 22, protocol: http2}",
            "upstream.protocol is for http",
        ),
        (
            "url: 'tcp://', upstream: {url: 22}, traffic_policy: {on_http_request: [{actions: [{type: deny}]}]}",
            "ERR_ADIT_2230",
        ),
    ] {
        let refused = endpoint(more).unwrap_err().to_string();
        assert!(
            refused.starts_with("endpoint \"a\": ") && refused.contains(says),
            "{refused}"
        );
    }
}

#[test]
fn what_a_policy_warns_of_is_told() {
    let config = parse(
        "version: 3\nendpoints: [{name: a, upstream: {url: 80}, traffic_policy: {inbound: [{actions: [{type: deny}]}]}}]\n",
    );
    let warnings = config.unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains(":2:"), "{warnings:?}");
    assert!(
        warnings[0].ends_with("`inbound` is called `on_http_request` now"),
        "{warnings:?}"
    );
}

#[test]
fn a_policy_that_would_be_sent_as_another_is_refused() {
    let endpoint = |header: &str| {
        parse(&format!(
            "version: 3\nendpoints: [{{name: a, upstream: {{url: 80}}, traffic_policy: {{on_http_request: [{{actions: [{{type: custom-response, config: {{body: \"{header}\"}}}}]}}]}}}}]\n"
        ))
    };
    assert!(endpoint("a\\tb 007 ").is_ok());
    let refused = endpoint("\\u2028").unwrap_err().to_string();
    assert!(refused.contains("cannot be sent as it stands"), "{refused}");
}

#[test]
fn later_files_win_and_paths_are_seen_from_their_file() {
    let folder = folder("merge");
    fs::write(
        folder.join("policy.yaml"),
        "on_http_request: [{actions: [{type: deny}]}]\n",
    )
    .unwrap();
    fs::write(
        folder.join("one.yaml"),
        "version: 3\nagent: {authtoken: one, metadata: kept}\nendpoints:\n  - {name: a, weight: 7, url: a.example.com, upstream: {url: 1, protocol: http2}}\n  - {name: b, upstream: {url: 2}, traffic_policy: {on_http_request: [{actions: [{type: deny}]}]}}\n",
    )
    .unwrap();
    fs::write(
        folder.join("two.yaml"),
        "version: 3\nagent: {authtoken: two}\nendpoints:\n  - {name: b, traffic_policy_file: policy.yaml}\n  - {name: a, upstream: {url: 3}}\n  - {name: c, upstream: {url: 4}}\n",
    )
    .unwrap();
    let config = Config::load(&[folder.join("one.yaml"), folder.join("two.yaml")]).unwrap();
    assert_eq!(config.agent.authtoken.unwrap().expose(), "two");
    assert_eq!(config.agent.metadata.as_deref(), Some("kept"));
    let names: Vec<_> = config.endpoints.iter().map(EndpointConfig::name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let a = config.endpoints[0]
        .options
        .clone()
        .into_spec(String::new())
        .unwrap();
    assert_eq!(
        (a.weight, a.protocol, a.url.as_str()),
        (7, Protocol::Http2, "https://a.example.com")
    );
    assert_eq!(
        config.endpoints[0].upstream.to_string(),
        "http://localhost:3"
    );
    let b = config.endpoints[1]
        .options
        .clone()
        .into_spec(String::new())
        .unwrap();
    assert_eq!(
        b.traffic_policy.as_deref(),
        Some("on_http_request: [{actions: [{type: deny}]}]\n")
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(&["/no/such/adit.yaml"])
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("/no/such/adit.yaml: "), "{error}");
}

#[test]
fn debug_hides_the_token() {
    let config = parse("version: 3\nagent: {authtoken: adit_hidden}\n").unwrap();
    assert!(!format!("{config:?} {:?}", config.builder()).contains("hidden"));
}

#[test]
fn a_mistake_in_a_policy_is_shown_where_it_stands() {
    let inline = refused(
        "version: 3\nendpoints:\n  - name: app\n    upstream: { url: \"3000\" }\n    traffic_policy:\n      \
         on_http_request:\n        - actions: [{ type: denny }]\n",
    );
    assert!(inline.starts_with("adit.yaml:7:"), "{inline}");

    let folder = folder("policy");
    fs::write(
        folder.join("p.yaml"),
        "on_http_request:\n  - actions:\n      - type: denny\n",
    )
    .unwrap();
    fs::write(
        folder.join("adit.yaml"),
        "version: 3\nendpoints: [{ name: app, upstream: { url: \"3000\" }, traffic_policy_file: p.yaml }]\n",
    )
    .unwrap();
    let in_file = Config::load(&[folder.join("adit.yaml")])
        .unwrap_err()
        .to_string();
    assert!(in_file.contains("p.yaml:3:"), "{in_file}");
}
