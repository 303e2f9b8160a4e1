//! Agents come and go under load, and clients see nothing of it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::harness::{Agent, Gateway, named::Named, operator, visitor::Visitor};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";

/// How long agents come and go.
const CHURN: Duration = Duration::from_secs(60);

const COMING_AND_GOING: usize = 50;

/// Clients, and the time between two requests of one.
const CLIENTS: usize = 6;
const PACE: Duration = Duration::from_millis(8);

/// What the clients got.
#[derive(Default)]
struct Got {
    by_member: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_agents_join_and_leave_for_a_minute_and_no_request_fails() {
    let gateway = Gateway::start().await;
    let stays = Named::start("stays").await;
    let _stays = member(&gateway, stays.address()).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(ask_until(Arc::clone(&over), gateway.http(), number));
    }

    let gateway = Arc::new(gateway);
    let until = Instant::now() + CHURN;
    let lives = Arc::new(AtomicUsize::new(0));
    let mut coming = JoinSet::new();
    for number in 0..COMING_AND_GOING {
        let (gateway, lives) = (Arc::clone(&gateway), Arc::clone(&lives));
        coming.spawn(async move { come_and_go(&gateway, number, until, &lives).await });
    }
    while let Some(ended) = coming.join_next().await {
        ended.unwrap();
    }
    over.store(true, Ordering::Relaxed);

    let mut by_member = BTreeMap::new();
    for got in clients.join_all().await {
        assert!(
            got.wrong.is_empty(),
            "{} wrong: {:?}",
            got.wrong.len(),
            got.wrong.first()
        );
        for (member, count) in got.by_member {
            *by_member.entry(member).or_insert(0) += count;
        }
    }
    let lives = lives.load(Ordering::Relaxed);
    assert!(
        lives >= 2 * COMING_AND_GOING,
        "each came back at least once: {lives}"
    );
    assert!(
        by_member.len() > COMING_AND_GOING / 2,
        "the newcomers served, too: {by_member:?}"
    );
    let admin = gateway.admin();
    operator::metric_until(admin, "adit_sessions", 1).await;
    assert_eq!(
        operator::metric(admin, "adit_endpoints").await,
        1,
        "nothing is left of them"
    );
}

async fn member(gateway: &Gateway, service: SocketAddr) -> Agent {
    Agent::builder(gateway)
        .url(URL)
        .pooling()
        .upstream(service)
        .start()
        .await
}

/// One agent after another, each until it has served a few requests, or waited for them long enough.
async fn come_and_go(gateway: &Gateway, number: usize, until: Instant, lives: &AtomicUsize) {
    let name: &'static str = Box::leak(format!("member-{number}").into_boxed_str());
    let service = Named::start(name).await;
    let mut life = 0;
    while Instant::now() < until {
        let agent = member(gateway, service.address()).await;
        lives.fetch_add(1, Ordering::Relaxed);
        let enough = service.requests() + 1 + (number * 7 + life * 3) % 20;
        let mut look = interval(Duration::from_millis(50));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..100 {
            look.tick().await;
            if service.requests() >= enough || Instant::now() >= until {
                break;
            }
        }
        // Most say goodbye; every fourth is gone without a word.
        if (number + life).is_multiple_of(4) {
            agent.agent.close().await;
        } else {
            agent.agent.drain(Duration::from_secs(10)).await;
        }
        life += 1;
    }
}

/// Asks at its pace: half of the clients keep their connection, the others open one for each request.
async fn ask_until(over: Arc<AtomicBool>, to: SocketAddr, number: usize) -> Got {
    let mut got = Got::default();
    let mut visitor = Visitor::connect(to).await;
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !over.load(Ordering::Relaxed) {
        pace.tick().await;
        if number % 2 == 1 {
            visitor = Visitor::connect(to).await;
        }
        match visitor.text(HOST, "/").await {
            (200, text) => {
                let member = text.split(' ').next().unwrap_or_default().to_owned();
                *got.by_member.entry(member).or_default() += 1;
            }
            (status, text) => got.wrong.push(format!("{status} {text}")),
        }
    }
    got
}
