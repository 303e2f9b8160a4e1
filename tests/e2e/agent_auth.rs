//! Who may connect, as whom, and what they may serve.

use adit_wire::message::{EndpointSpec, RefusalCode, Token};

use crate::harness::{
    AditProcess, Agent, Gateway,
    command::GatewayProcess,
    hand_agent::{HandAgent, hello, spec},
    named::Named,
    soon, token_of,
    visitor::visit,
};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";

// === tokens ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_unknown_ends_the_command_with_2_and_stands_in_no_log() {
    let wrong = "adit_Wr0ngAndSecretAndNobodyKnowsIt";
    let mut gateway = GatewayProcess::start("").await;
    let home = gateway.home(wrong);
    let mut agent = AditProcess::spawn_in(home, ["http", "1", "--log-level", "debug"], &[]);
    assert_eq!(agent.wait_exit().await.code(), Some(2));
    gateway
        .process
        .wait_for_line(|line| line.contains("agent refused"))
        .await;
    let said = agent.output();
    assert!(
        said.contains("does not know this authtoken") && said.contains("ERR_ADIT_107"),
        "{said}"
    );
    for log in [said, gateway.process.output()] {
        assert!(!log.contains("Wr0ng"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_withdrawn_ends_the_agents_that_used_it() {
    let mut gateway = GatewayProcess::start("").await;
    let service = Named::start("app").await;
    let args = ["http", &service.address().to_string(), "--url", URL];
    let mut agent = AditProcess::spawn_in(gateway.home(&token_of("tester")), args, &[]);
    agent
        .wait_for_line(|line| line.contains("started tunnel"))
        .await;
    gateway.process.term();
    gateway.agents = vec![("somebody-else".to_owned(), vec!["bind:*".to_owned()])];
    let gateway = gateway.again().await;
    assert_eq!(
        agent.wait_exit().await.code(),
        Some(2),
        "{}",
        agent.output()
    );
    assert!(
        agent.output().contains("ERR_ADIT_107"),
        "{}",
        agent.output()
    );
    assert_eq!(visit(gateway.http(), HOST, "/").await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_and_versions_that_cannot_be_are_refused_with_a_reason() {
    let gateway = Gateway::start().await;
    let right = || hello(&gateway.token(), "a", 1);
    let mut long = right();
    long.metadata = "x".repeat(4097);
    let mut nameless = right();
    nameless.agent_id.clear();
    let mut unprintable = right();
    unprintable.agent_id = "a\u{1b}[2J".into();
    let mut tokenless = right();
    tokenless.token = Token::new("");
    let mut future = right();
    future.versions = (7, 9);
    for (hello, code, says) in [
        (long, RefusalCode::Protocol, "4096 bytes"),
        (nameless, RefusalCode::Protocol, "agent id"),
        (unprintable, RefusalCode::Protocol, "agent id"),
        (future, RefusalCode::Version, "revisions 7 to 9"),
        (tokenless, RefusalCode::Token, "authtoken"),
    ] {
        let Err(refused) = HandAgent::begin(&gateway, hello).await else {
            panic!("welcome, but not: {says}");
        };
        assert_eq!(
            (refused.code, refused.retryable),
            (code, false),
            "{refused}"
        );
        assert!(refused.reason.contains(says), "{refused}");
    }
    HandAgent::begin(&gateway, right()).await.map(drop).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_full_says_so_and_lets_agents_in_when_others_have_left() {
    let limits = "limits: { sessions: 2, endpoints_per_session: 2 }";
    let gateway = Gateway::with(limits).await;
    let mut first = HandAgent::begin(&gateway, hello(&gateway.token(), "1", 1))
        .await
        .unwrap();
    let second = HandAgent::begin(&gateway, hello(&gateway.token(), "2", 1))
        .await
        .unwrap();
    let Err(refused) = HandAgent::begin(&gateway, hello(&gateway.token(), "3", 1)).await else {
        panic!("a third session");
    };
    assert_eq!(
        (refused.code, refused.retryable),
        (RefusalCode::Unavailable, true),
        "{refused}"
    );
    first.bind("http://a.localhost").await.unwrap();
    first.bind("http://b.localhost").await.unwrap();
    let refused = first.bind("http://c.localhost").await.unwrap_err();
    assert_eq!(
        (refused.code, refused.retryable),
        (RefusalCode::Unavailable, true),
        "{refused}"
    );
    drop(second);
    let entering = async {
        let mut epoch = 1;
        while HandAgent::begin(&gateway, hello(&gateway.token(), "3", epoch))
            .await
            .is_err()
        {
            epoch += 1;
        }
    };
    soon("a place", entering).await;
}

// === access lists ===

const NARROW: [&str; 2] = ["bind:app.localhost", "bind:*.team.localhost"];

async fn with_a_narrow_agent() -> Gateway {
    let agents: [(&str, &[&str]); 2] = [("tester", &["bind:*"]), ("narrow", &NARROW)];
    Gateway::with_agents(&agents, "").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a43_a_to_d_an_agent_binds_what_its_list_allows_and_nothing_else_in_any_spelling() {
    let gateway = with_a_narrow_agent().await;
    let mut agent = HandAgent::begin(&gateway, hello(&gateway.token_of("narrow"), "a", 1))
        .await
        .unwrap();
    for (case, url) in [
        ("a: another host", "http://other.localhost"),
        ("a: the domain itself", "http://localhost"),
        ("a: a name that only ends alike", "http://evilapp.localhost"),
        (
            "a: a name that only ends like the wildcard",
            "http://evilteam.localhost",
        ),
        ("a: the wildcard's own parent", "http://team.localhost"),
        ("a: a name below the exact one", "http://x.app.localhost"),
        ("a: an address", "http://127.0.0.1"),
        ("b: a wildcard above everything", "http://*.localhost"),
        (
            "b: a wildcard above the exact one",
            "http://*.app.localhost",
        ),
        ("c: another port", "http://app.localhost:9999"),
        ("c: a port of its own", "tcp://:20000"),
        ("c: another kind", "tls://app.localhost"),
        ("d: upper case", "HTTP://OTHER.LocalHost"),
        ("d: a trailing dot", "http://other.localhost."),
        ("d: an international name", "http://bücher.localhost"),
        ("d: its punycode", "http://xn--bcher-kva.localhost"),
        ("d: a full-width letter", "http://ｏther.localhost"),
        ("d: a full-width dot", "http://other。localhost"),
        (
            "d: user information",
            "http://app.localhost@other.localhost",
        ),
        ("d: a path", "http://other.localhost/app.localhost"),
        ("d: a blank", "http://app.localhost other.localhost"),
    ] {
        let refused = agent.bind(url).await.expect_err(case);
        assert!(
            matches!(refused.code, RefusalCode::Acl | RefusalCode::Url),
            "{case}: {refused:?}"
        );
        assert!(
            !refused.retryable && !refused.reason.is_empty(),
            "{case}: {refused:?}"
        );
    }
    for host in [
        "other.localhost",
        "localhost",
        "x.app.localhost",
        "xn--bcher-kva.localhost",
    ] {
        assert_eq!(visit(gateway.http(), host, "/").await.0, 404, "{host}");
    }
    // The session bore all of that, and its own names are its own in any spelling.
    agent.serve("narrow");
    for (url, host) in [
        ("http://APP.localhost.", "app.localhost"),
        ("http://a.b.Team.localhost", "a.b.team.localhost"),
        ("http://*.x.team.localhost", "any.x.team.localhost"),
    ] {
        agent
            .bind_spec(EndpointSpec {
                name: url.into(),
                ..spec(url)
            })
            .await
            .unwrap();
        assert_eq!(
            visit(gateway.http(), host, "/").await,
            (200, "narrow /".into()),
            "{url}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a43_d_a_name_that_is_taken_is_taken_in_every_spelling() {
    let gateway = Gateway::start().await;
    let mut holder = HandAgent::connect(&gateway).await;
    holder.bind("http://shop.localhost").await.unwrap();
    holder.bind("http://bücher.localhost").await.unwrap();
    holder.serve("holder");
    let mut other = HandAgent::begin(&gateway, hello(&gateway.token_of("other"), "b", 1))
        .await
        .unwrap();
    for url in [
        "http://SHOP.localhost",
        "http://shop.localhost.",
        "http://xn--bcher-kva.localhost",
    ] {
        let refused = other.bind(url).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::Taken, "{url}: {refused}");
    }
    assert_eq!(
        visit(gateway.http(), "shop.localhost", "/").await,
        (200, "holder /".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_a_list_gets_random_names_of_its_own() {
    let agents: [(&str, &[&str]); 2] = [("tester", &["bind:*"]), ("random", &[])];
    let gateway = Gateway::with_agents(&agents, "").await;
    let token = gateway.token_of("random");
    let mut agent = HandAgent::begin(&gateway, hello(&token, "a", 1))
        .await
        .unwrap();
    let (_, url) = agent.bind("http://").await.unwrap();
    let host = url
        .strip_prefix("http://")
        .unwrap()
        .split(':')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(agent.bind(URL).await.unwrap_err().code, RefusalCode::Acl);
    // It may ask for that name outright, as it does after a reconnect; another agent may not.
    let mut again = HandAgent::begin(&gateway, hello(&token, "a", 2))
        .await
        .unwrap();
    again.bind(&format!("http://{host}")).await.unwrap();
    let mut thief = HandAgent::begin(&gateway, hello(&token, "b", 1))
        .await
        .unwrap();
    let refused = thief.bind(&format!("http://{host}")).await.unwrap_err();
    assert!(matches!(refused.code, RefusalCode::Acl), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_with_a_mistake_is_refused_with_its_place() {
    let gateway = Gateway::start().await;
    let policy = "on_http_request:\n- actions:\n  - type: deny\n    config: { status_kode: 401 }\n";
    let asked = Agent::builder(&gateway)
        .url(URL)
        .policy(policy)
        .upstream("1")
        .try_start()
        .await;
    let Err(refused) = asked else {
        panic!("a policy that cannot be read was accepted")
    };
    for part in [
        "traffic policy of `endpoint-0`:4:15",
        "status_kode",
        "status_code",
        "^",
    ] {
        assert!(refused.contains(part), "{part:?} is not in: {refused}");
    }
    assert_eq!(visit(gateway.http(), HOST, "/").await.0, 404);
}
