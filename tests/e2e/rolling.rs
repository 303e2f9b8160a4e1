//! Agents that are replaced one after the other, under load: no request is lost.

use crate::harness::{
    AditProcess, Deployed,
    load::{Load, Wrk},
    named::Named,
    online,
    operator::health_until,
};

const HOST: &str = "app.localhost";

async fn deployed(service: &Named) -> Deployed {
    let deployed = Deployed::start("", &[]).await;
    let mut yaml = std::fs::read_to_string(deployed.home().path().join("adit.yaml")).unwrap();
    for (name, scheme) in [("a", "http"), ("b", "https")] {
        yaml.push_str(&format!(
            "  - {{ name: {name}, url: \"{scheme}://{HOST}\", upstream: {{ url: \"{}\" }}, pooling_enabled: true }}\n",
            service.address()
        ));
    }
    std::fs::write(deployed.home().path().join("adit.yaml"), yaml).unwrap();
    deployed
}

async fn agent(deployed: &Deployed) -> AditProcess {
    let mut agent = deployed.start_agent();
    online(&mut agent, 2).await;
    agent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_agents_are_replaced_one_after_the_other_without_a_lost_request() {
    let service = Named::start("app").await;
    let deployed = deployed(&service).await;
    let mut agents = Vec::new();
    for _ in 0..3 {
        agents.push(agent(&deployed).await);
    }
    let wrk = Wrk::begin(deployed.http, HOST, 8);
    let mut load = Load::begin(&deployed, HOST);
    for place in &mut agents {
        load.goes_on().await;
        place.term();
        assert_eq!(
            place.wait_exit().await.code(),
            Some(0),
            "{}",
            place.output()
        );
        load.goes_on().await;
        *place = agent(&deployed).await;
    }
    load.goes_on().await;
    load.end().await;
    wrk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_agent_is_replaced_by_one_that_joins_it_first() {
    let service = Named::start("app").await;
    let deployed = deployed(&service).await;
    let mut old = agent(&deployed).await;
    let wrk = Wrk::begin(deployed.http, HOST, 6);
    let mut load = Load::begin(&deployed, HOST);
    for _ in 0..2 {
        load.goes_on().await;
        let new = agent(&deployed).await;
        old.signal("INT");
        assert_eq!(old.wait_exit().await.code(), Some(0), "{}", old.output());
        load.goes_on().await;
        old = new;
    }
    // The one without an endpoint that every deployment begins with, and the last one.
    health_until(deployed.admin, "the last agent alone", |health| {
        health["sessions"].as_u64() <= Some(2)
    })
    .await;
    load.end().await;
    wrk.end().await;
}
