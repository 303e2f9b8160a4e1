//! The admin API: who may use it, what it tells, and that what it changes takes effect at once.

use std::{fs, path::Path, process::Stdio};

use adit_agent::{End, Event};
use serde_json::{Value, json};

use crate::harness::{
    Agent, Gateway, Service, api::Api, event, named::Named, soon, token_of, visitor::visit,
};

pub(crate) const DECLARED: &str = "endpoints: [{ url: http://app.localhost }]\n";

/// A declared endpoint with two members, `tester` and `other`, that answer their names.
pub(crate) struct Two {
    pub(crate) gateway: Gateway,
    pub(crate) api: Api,
    pub(crate) agents: [Agent; 2],
    _services: [Named; 2],
}

impl Two {
    pub(crate) async fn start() -> Self {
        let gateway = Gateway::with(DECLARED).await;
        let services = [Named::start("tester").await, Named::start("other").await];
        let mut agents = Vec::new();
        for (service, name) in services.iter().zip(["tester", "other"]) {
            let agent = Agent::builder(&gateway).token(token_of(name));
            let agent = agent
                .url("http://app.localhost")
                .upstream(service.address());
            agents.push(agent.start().await);
        }
        Self {
            api: Api::of(&gateway),
            gateway,
            agents: agents.try_into().unwrap_or_else(|_| panic!("two")),
            _services: services,
        }
    }

    pub(crate) async fn endpoint(&self) -> Value {
        self.api.get("/endpoints").await["endpoints"][0].clone()
    }

    /// The member of an agent.
    pub(crate) async fn member(&self, agent: &str) -> Value {
        let endpoint = self.endpoint().await;
        let members = endpoint["members"].as_array().unwrap();
        let found = members.iter().find(|member| member["agent"] == agent);
        found.unwrap_or_else(|| panic!("{endpoint}")).clone()
    }

    /// How many of 20 requests an agent gets.
    async fn share(&self, agent: &str) -> usize {
        let mut share = 0;
        for _ in 0..20 {
            let (status, text) = visit(self.gateway.http(), "app.localhost", "/").await;
            assert_eq!(status, 200);
            share += usize::from(text.starts_with(agent));
        }
        share
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_and_members_are_told_with_all_that_is_known() {
    let two = Two::start().await;
    two.share("tester").await;
    // An exchange ends a moment after its client has the answer.
    let idle = |all: &Value| all["endpoints"][0]["in_flight"] == 0;
    two.api
        .until("/endpoints", "nothing to be at work", idle)
        .await;
    let endpoint = two.endpoint().await;
    let id = endpoint["id"].as_str().unwrap();
    assert_eq!(endpoint["url"], "http://app.localhost");
    assert_eq!(
        endpoint["public_url"],
        format!("http://app.localhost:{}", two.gateway.http().port())
    );
    for (field, value) in [
        ("declared", json!(true)),
        ("state", json!("up")),
        ("members_up", json!(2)),
        ("balance", json!("round-robin")),
        ("in_flight", json!(0)),
    ] {
        assert_eq!(endpoint[field], value, "{field}: {endpoint}");
    }
    let path = format!("/endpoints/{id}");
    assert_eq!(endpoint["uri"], path);
    assert_eq!(two.api.get(&path).await["id"], id);
    let member = two.member("tester").await;
    assert_eq!(member["up"], true, "{member}");
    assert_eq!(member["reasons"], json!([]));
    assert_eq!(
        member["weight"],
        json!({ "effective": 100, "own": 100, "configured": null, "override": null })
    );
    assert_eq!(member["requests"], 10, "in turn: {member}");
    let uri = member["uri"].as_str().unwrap();
    assert!(uri.starts_with(&format!("{path}/members/mb_")), "{uri}");
    assert_eq!(two.api.get(uri).await["id"], member["id"]);

    let sessions = two.api.get("/tunnel_sessions").await;
    let sessions = sessions["tunnel_sessions"].as_array().unwrap();
    let agents: Vec<_> = sessions.iter().map(|session| &session["agent"]).collect();
    assert_eq!(agents, ["other", "tester"], "the newest first");
    let session = &sessions[1];
    assert_eq!(session["id"], member["tunnel_session"]["id"]);
    assert_eq!(session["ip"], "127.0.0.1");
    assert_eq!(session["endpoints"], json!([{ "id": id, "uri": path }]));
    assert_eq!(
        two.api.get(session["uri"].as_str().unwrap()).await["draining"],
        false
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weight_takes_effect_at_once_until_it_is_taken_back() {
    let two = Two::start().await;
    assert_eq!(two.share("tester").await, 10);
    let member = two.member("tester").await;
    let uri = member["uri"].as_str().unwrap();
    let (status, changed) = two
        .api
        .ask("PATCH", uri, Some(json!({ "weight": 0 })))
        .await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["weight"]["override"], 0);
    assert_eq!(changed["reasons"][0]["kind"], "weight_0");
    assert_eq!(two.share("tester").await, 0);
    let health = crate::harness::operator::health(two.gateway.admin()).await;
    assert_eq!(
        health["pools"],
        json!([{
            "url": "http://app.localhost", "up": 1, "of": 2,
            "down": [{ "agent": "tester", "reasons": [{ "kind": "weight_0" }] }]
        }])
    );
    let (status, back) = two
        .api
        .ask("PATCH", uri, Some(json!({ "weight": null })))
        .await;
    assert_eq!((status, &back["weight"]["override"]), (200, &Value::Null));
    assert_eq!(two.share("tester").await, 10);
    // A drain is a weight of 0.
    let (status, drained) = two.api.ask("POST", &format!("{uri}/drain"), None).await;
    assert_eq!((status, &drained["weight"]["effective"]), (200, &json!(0)));
    assert_eq!(two.share("tester").await, 0);
    for wrong in [
        json!({}),
        json!({ "weight": -1 }),
        json!({ "weight": 5, "id": "mb_1" }),
        json!([5]),
    ] {
        let (status, problem) = two.api.ask("PATCH", uri, Some(wrong)).await;
        assert_eq!(
            (status, &problem["error_code"]),
            (400, &json!("ERR_ADIT_214"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_drained_and_ended() {
    let mut two = Two::start().await;
    let session = two.member("tester").await["tunnel_session"]["uri"].clone();
    let session = session.as_str().unwrap();
    let (status, drained) = two.api.ask("POST", &format!("{session}/drain"), None).await;
    assert_eq!((status, &drained["draining"]), (200, &json!(true)));
    assert_eq!(two.share("tester").await, 0);
    let reasons = two.member("tester").await["reasons"].clone();
    assert_eq!(reasons[0]["kind"], "draining");

    let mut events = two.agents[0].events();
    let (status, _) = two.api.ask("POST", &format!("{session}/stop"), None).await;
    assert_eq!(status, 200);
    event(&mut events, |event| matches!(event, Event::Refused(_))).await;
    let forwarder = two.agents[0].forwarders.remove(0);
    let end = soon("the agent's end", forwarder.done()).await;
    assert!(matches!(end, End::Refused(_)), "{end:?}");
    two.api
        .until("/tunnel_sessions", "the session to be gone", |sessions| {
            sessions["tunnel_sessions"].as_array().unwrap().len() == 1
        })
        .await;
    assert_eq!(two.api.ask("GET", session, None).await.0, 404);
    assert_eq!(two.share("other").await, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_in_pages() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let mut agent = Agent::builder(&gateway);
    for n in 0..5 {
        agent = agent
            .url(&format!("http://n{n}.localhost"))
            .upstream(service.addr());
    }
    let _agent = agent.start().await;
    let api = Api::of(&gateway);
    let mut next = Some("/endpoints?limit=2".to_owned());
    let mut pages = Vec::new();
    while let Some(path) = next {
        let page = api.get(&path).await;
        assert_eq!(page["uri"], path);
        let urls = page["endpoints"].as_array().unwrap().iter();
        pages.push(
            urls.map(|endpoint| endpoint["url"].clone())
                .collect::<Vec<_>>(),
        );
        next = page["next_page_uri"].as_str().map(str::to_owned);
    }
    let url = |n: usize| json!(format!("http://n{n}.localhost"));
    assert_eq!(
        pages,
        [vec![url(0), url(1)], vec![url(2), url(3)], vec![url(4)]]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_exchanges_are_told_and_what_policies_did_if_somebody_asks_for_it() {
    let policy = "
on_http_request:
  - { name: no entry, expressions: [\"req.url.path == '/denied'\"], actions: [{ type: deny }] }
  - actions: [{ type: add-headers, config: { headers: { x-user: ada, authorization: \"Bearer swordfish\" } } }]
";
    let endpoints = "endpoints: [{ url: http://app.localhost, traffic_policy_file: app.yaml }]\n";
    let gateway = Gateway::with_files(&[("app.yaml", policy)], endpoints).await;
    let service = Service::echo().await;
    let _agent = Agent::forward(&gateway, "http://app.localhost", service.addr()).await;
    let api = Api::of(&gateway);
    assert_eq!(
        visit(gateway.http(), "app.localhost", "/a?secret=1")
            .await
            .0,
        200
    );
    assert_eq!(
        visit(gateway.http(), "app.localhost", "/denied").await.0,
        403
    );
    assert_eq!(visit(gateway.http(), "nobody.localhost", "/").await.0, 404);
    let all = api
        .until("/traces", "three traces", |all| {
            all["traces"].as_array().unwrap().len() == 3
        })
        .await;
    let by_path = |all: &Value, path: &str| {
        let traces = all["traces"].as_array().unwrap().iter();
        let mut found =
            traces.filter(|trace| trace["path"] == path && trace["host"] == "app.localhost");
        found.next().unwrap_or_else(|| panic!("{all}")).clone()
    };
    let served = by_path(&all, "/a");
    assert_eq!(
        (&served["status_code"], &served["agent"]),
        (&json!(200), &json!("tester"))
    );
    assert_eq!(
        (&served["verdict"], &served["policies"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(served["trace_id"].as_str().unwrap().len(), 32);
    assert_eq!(api.get(served["uri"].as_str().unwrap()).await, served);
    let denied = by_path(&all, "/denied");
    assert_eq!(
        denied["verdict"],
        json!({ "outcome": "deny", "rule": "on_http_request[0].actions[0] (deny)", "name": "no entry" })
    );
    assert_eq!(denied["member_id"], Value::Null);
    let of_one = api
        .get("/traces?endpoint=http://app.localhost&limit=1")
        .await;
    assert_eq!(of_one["traces"].as_array().unwrap().len(), 1);
    assert!(of_one["next_page_uri"].is_string());

    let wanted = json!({ "for_seconds": 60, "endpoint": "http://app.localhost" });
    let (status, capture) = api.ask("PUT", "/traces/capture", Some(wanted)).await;
    assert_eq!((status, &capture["per_second"]), (200, &json!(10)));
    assert_eq!(capture["endpoint"]["id"], served["endpoint"]["id"]);
    assert_eq!(visit(gateway.http(), "app.localhost", "/b").await.0, 200);
    let all = api
        .until("/traces", "a captured trace", |all| {
            all["traces"].as_array().unwrap().len() == 4
        })
        .await;
    let steps = by_path(&all, "/b")["policies"].clone();
    let rules = &steps[0]["rules"];
    assert_eq!(
        (&rules[0]["matched"], &rules[0]["expression"]),
        (&json!(false), &json!(0))
    );
    let action = &rules[1]["actions"][0];
    assert_eq!(
        (&action["type"], &action["outcome"]),
        (&json!("add-headers"), &json!("next"))
    );
    assert_eq!(
        action["edits"],
        json!(["append x-user: ada", "append authorization: [redacted]"])
    );
    assert!(!all.to_string().contains("swordfish") && !all.to_string().contains("secret=1"));
    let (status, off) = api.ask("DELETE", "/traces/capture", None).await;
    assert_eq!((status, &off["until"]), (200, &Value::Null));
}

/// The shell blocks of the page, with the names of here.
fn page(data_dir: &Path, names: &[(&str, &str)]) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/admin-api.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("```sh\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    let here = |block: &str| {
        let block = block.replace("/var/lib/adit", &data_dir.display().to_string());
        let block = block.replace("https://app.example.com", "http://app.localhost");
        names
            .iter()
            .fold(block, |block, (told, here)| block.replace(told, here))
    };
    blocks.map(here).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_the_page_can_be_typed() {
    let two = Two::start().await;
    let endpoint = two.endpoint().await;
    let member = two.member("tester").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let address = two.api.address.to_string();
    let (endpoint, session) = (text(&endpoint["id"]), text(&member["tunnel_session"]["id"]));
    let names = [
        ("127.0.0.1:9181", address.as_str()),
        ("ep_3b9a5c1d7e2f4a6b8c0d1e2f", endpoint.as_str()),
        ("mb_69201c3a0000000007", member["id"].as_str().unwrap()),
        ("ts_69201c3a0000000003", session.as_str()),
        (
            "curl ",
            "curl --silent --show-error --fail-with-body --noproxy '*' --write-out '\\n' ",
        ),
    ];
    let mut blocks = page(&two.gateway.folder().join("data"), &names);
    // Ended at last: its member is asked for further down the page.
    let stop = blocks
        .iter()
        .position(|block| block.contains("/stop"))
        .unwrap();
    let stop = blocks.remove(stop);
    blocks.push(stop);
    let commands = blocks.concat().matches("curl ").count();
    let script = blocks.join("\n");
    let ran = tokio::process::Command::new("sh")
        .args(["-eu", "-c", &script])
        .stdin(Stdio::null())
        .output();
    let ran = soon("the page's commands", ran).await.unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(
        ran.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let answers = said.lines().filter(|line| !line.trim().is_empty());
    let answers: Vec<Value> = answers
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), commands);
    two.api
        .until("/tunnel_sessions", "the session to be gone", |sessions| {
            sessions["tunnel_sessions"].as_array().unwrap().len() == 1
        })
        .await;
}
