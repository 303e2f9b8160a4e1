//! How several agents share one URL: by turns, by load, by a key, by a cookie; and by weights that change meanwhile.

use std::{collections::HashMap, time::Duration};

use adit_wire::message::{AgentMessage, EndpointSpec};
use tokio::task::JoinSet;

use crate::harness::{
    Agent, Gateway,
    hand_agent::{HandAgent, hello, spec},
    named::Named,
    raw, soon,
    visitor::{Visitor, visit, whole},
};

pub(crate) const HOST: &str = "app.localhost";
pub(crate) const HTTP: &str = "http://app.localhost";
pub(crate) const HTTPS: &str = "https://app.localhost";
pub(crate) const NAMES: [&str; 3] = ["one", "two", "three"];

/// Three agents, each with its service.
pub(crate) struct Fleet {
    pub(crate) services: Vec<Named>,
    pub(crate) agents: Vec<Agent>,
}

impl Fleet {
    pub(crate) async fn start(gateway: &Gateway, urls: &[&str], weights: [u32; 3]) -> Self {
        let (mut services, mut agents) = (Vec::new(), Vec::new());
        for (name, weight) in NAMES.into_iter().zip(weights) {
            let service = Named::start(name).await;
            let mut agent = Agent::builder(gateway);
            for url in urls {
                agent = agent.url(url).pooling().weight(weight);
                agent = agent.upstream(service.address());
            }
            agents.push(agent.start().await);
            services.push(service);
        }
        Self { services, agents }
    }
}

/// A gateway with one endpoint whose pool works like this.
pub(crate) async fn gateway(pool: &str) -> Gateway {
    Gateway::with(&endpoint(pool)).await
}

pub(crate) fn endpoint(pool: &str) -> String {
    format!("endpoints: [{{ url: {HTTP}, pool: {pool} }}]\n")
}

pub(crate) fn first_word(text: &str) -> String {
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Who answers so many requests, a sixth of them on each of six connections.
pub(crate) async fn counted(gateway: &Gateway, all: usize) -> HashMap<String, usize> {
    let mut asking = JoinSet::new();
    for _ in 0..6 {
        asking.spawn(on_one_connection(gateway.http(), all / 6));
    }
    let mut counts = HashMap::new();
    for name in asking.join_all().await.into_iter().flatten() {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

pub(crate) async fn on_one_connection(to: std::net::SocketAddr, count: usize) -> Vec<String> {
    let mut visitor = Visitor::connect(to).await;
    let mut names = Vec::new();
    for _ in 0..count {
        let (status, text) = visitor.text(HOST, "/").await;
        assert_eq!(status, 200, "{text}");
        names.push(first_word(&text));
    }
    names
}

/// Asks on one connection until so many of forty requests, or one more or less, go to `name`.
pub(crate) async fn until_share(gateway: &Gateway, name: &str, of_forty: usize) {
    let asking = async {
        loop {
            let names = on_one_connection(gateway.http(), 40).await;
            let count = names.iter().filter(|one| *one == name).count();
            if count.abs_diff(of_forty) <= 1 {
                return;
            }
        }
    };
    soon(&format!("{of_forty} of 40 for {name}"), asking).await;
}

/// A hand agent in the pool, that answers with its name, and the number of its endpoint.
async fn hand(gateway: &Gateway, name: &'static str, epoch: u64, weight: u32) -> (HandAgent, u64) {
    let mut agent = HandAgent::begin(gateway, hello(&gateway.token(), name, epoch))
        .await
        .unwrap();
    let wanted = EndpointSpec {
        pooling_enabled: true,
        weight,
        metadata: name.into(),
        ..spec(HTTP)
    };
    let (endpoint, _) = agent.bind_spec(wanted).await.unwrap();
    agent.serve(name);
    (agent, endpoint)
}

// === balancers ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_serve_in_turn_by_weight() {
    let gateway = gateway("{ balance: round-robin }").await;
    let _fleet = Fleet::start(&gateway, &[HTTP], [50, 30, 20]).await;
    let counts = counted(&gateway, 3000).await;
    for (name, expected) in NAMES.into_iter().zip([1500_usize, 900, 600]) {
        // Each core takes turns by itself.
        assert!(counts[name].abs_diff(expected) <= 16, "{counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_to_members_with_less_to_do() {
    let gateway = gateway("{ balance: least-requests }").await;
    let fleet = Fleet::start(&gateway, &[HTTP], [10, 10, 10]).await;
    let counts = counted(&gateway, 3000).await;
    for name in NAMES {
        // Five standard deviations of as many throws of a die.
        assert!(counts[name].abs_diff(1000) <= 130, "{counts:?}");
    }
    let before: Vec<_> = fleet.services.iter().map(Named::requests).collect();
    let mut hanging = JoinSet::new();
    for _ in 0..30 {
        hanging.spawn(visit(gateway.http(), HOST, "/hang"));
    }
    let at_work = || {
        let now = fleet.services.iter().map(Named::requests);
        now.zip(&before)
            .map(|(now, before)| now - before)
            .collect::<Vec<_>>()
    };
    let all_there = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while at_work().iter().sum::<usize>() < 30 {
            tick.tick().await;
        }
    };
    soon("thirty requests", all_there).await;
    // By chance alone they would differ by five and more almost always.
    let (least, most) = (at_work().into_iter().min(), at_work().into_iter().max());
    assert!(most <= least.map(|least| least + 5), "{:?}", at_work());
    fleet.services.iter().for_each(Named::release);
    assert!(
        hanging
            .join_all()
            .await
            .iter()
            .all(|(status, _)| *status == 200)
    );
}

/// Who serves each of some users.
async fn served(gateway: &Gateway) -> Vec<String> {
    let mut client = raw::Client::connect(gateway.http()).await;
    let mut names = Vec::new();
    for user in 0..90 {
        let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX-User: user-{user}\r\n\r\n");
        client.send(request).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        names.push(first_word(&answer.text()));
    }
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_stays_at_a_member_and_only_those_of_a_lost_one_move() {
    let gateway = gateway("{ balance: hash, hash_on: \"req.headers['x-user'][0]\" }").await;
    let mut fleet = Fleet::start(&gateway, &[HTTP], [1, 1, 1]).await;
    let before = served(&gateway).await;
    for name in NAMES {
        let count = before.iter().filter(|one| *one == name).count();
        assert!((8..=52).contains(&count), "{before:?}");
    }
    assert_eq!(served(&gateway).await, before);
    // Without the header it is the client's address, always the same here.
    let without = on_one_connection(gateway.http(), 12).await;
    assert!(
        without.iter().all(|name| *name == without[0]),
        "{without:?}"
    );

    fleet.agents.remove(1).close().await;
    let after = soon("the end of a member", async {
        loop {
            let after = served(&gateway).await;
            if !after.contains(&"two".to_owned()) {
                return after;
            }
        }
    })
    .await;
    for (before, after) in before.iter().zip(&after) {
        assert!(before == "two" || before == after, "{before} {after}");
    }
}

// === weights ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_change_at_once_by_the_agent_and_by_the_configuration() {
    let gateway = gateway("{}").await;
    let (_one, _) = hand(&gateway, "one", 1, 10).await;
    let (two, endpoint) = hand(&gateway, "two", 1, 10).await;
    until_share(&gateway, "two", 20).await;
    let reweigh = |weight, tier| AgentMessage::Reweigh {
        endpoint,
        weight,
        tier,
        metadata: "two".into(),
    };
    two.say(reweigh(30, 0)).await;
    until_share(&gateway, "two", 30).await;
    two.say(reweigh(0, 0)).await;
    until_share(&gateway, "two", 0).await;
    two.say(reweigh(10, 1)).await;
    two.say(reweigh(10, 0)).await;
    until_share(&gateway, "two", 20).await;
    gateway.rewrite(&endpoint_with_weights("[{ metadata: two, weight: 90 }]"));
    gateway.reload().await.unwrap();
    until_share(&gateway, "two", 36).await;
    gateway.rewrite(&endpoint_with_weights("[]"));
    gateway.reload().await.unwrap();
    until_share(&gateway, "two", 20).await;
}

fn endpoint_with_weights(weights: &str) -> String {
    endpoint(&format!("{{ weights: {weights} }}"))
}

// === joining ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_comes_again_takes_its_own_place() {
    let gateway = Gateway::start().await;
    let (_other, _) = hand(&gateway, "other", 1, 1).await;
    let (_old, _) = hand(&gateway, "same", 1, 1).await;
    until_share(&gateway, "same", 20).await;
    let mut agent = HandAgent::begin(&gateway, hello(&gateway.token(), "same", 2))
        .await
        .unwrap();
    let wanted = EndpointSpec {
        pooling_enabled: true,
        weight: 1,
        ..spec(HTTP)
    };
    agent.bind_spec(wanted).await.unwrap();
    agent.serve("newer");
    let names = on_one_connection(gateway.http(), 40).await;
    assert!(!names.contains(&"same".to_owned()), "{names:?}");
    assert_eq!(names.iter().filter(|name| *name == "newer").count(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_may_be_tried_on_a_share_of_the_traffic() {
    let gateway = Gateway::start().await;
    let (old, new) = (Named::start("old").await, Named::start("new").await);
    let builder = |weight| Agent::builder(&gateway).url(HTTP).pooling().weight(weight);
    let _old = builder(75).upstream(old.address()).start().await;
    let policy = "on_http_response: [{ actions: [{ type: add-headers, config: { headers: { x-canary: \"1\" } } }] }]";
    let canary = builder(25).upstream(new.address()).policy(policy);
    let _canary = canary.start().await;
    let mut visitor = Visitor::connect(gateway.http()).await;
    let mut tried = 0;
    for _ in 0..40 {
        let response = visitor.get(HOST, "/").await.unwrap();
        let marked = response.headers().contains_key("x-canary");
        let (_, text) = whole(response).await.unwrap();
        assert_eq!(marked, text.starts_with("new "), "{text}");
        tried += usize::from(marked);
    }
    assert_eq!(tried, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_without_a_pool_is_served_by_its_policy_alone() {
    let policy = "{ on_http_request: [{ actions: [{ type: custom-response, config: { status_code: 200, body: hello } }] }] }";
    let alone = format!("endpoints: [{{ url: {HTTP}, pool: none, traffic_policy: {policy} }}]\n");
    let gateway = Gateway::with(&alone).await;
    assert_eq!(
        visit(gateway.http(), HOST, "/").await,
        (200, "hello".into())
    );
    let mut agent = HandAgent::connect(&gateway).await;
    let refused = agent.bind(HTTP).await.unwrap_err();
    assert!(refused.reason.contains("pool: none"), "{refused}");
}
