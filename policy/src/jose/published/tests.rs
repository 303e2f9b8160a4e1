//! Tests of how keys are kept and renewed.

use std::task::Poll;

use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::env::FetchError;
use crate::jose::discovery::Discovery;
use crate::jose::jwks::Jwks;
use crate::jose::testing::{Signer, World, jwks};

const URL: &str = "https://issuer.example/jwks";

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn signer(id: &'static str) -> Signer {
    Signer::new(id, "ES256")
}

fn keys_of(world: &World) -> Jwks {
    Jwks::of(&IdentityUrl::parse(URL).unwrap(), &world.env)
}

/// A provider that publishes keys with these names.
fn publishing(ids: &[&'static str]) -> World {
    let world = World::new();
    publish(&world, ids);
    world
}

fn publish(world: &World, ids: &[&'static str]) {
    let signers: Vec<_> = ids.iter().map(|id| signer(id)).collect();
    world
        .provider
        .publish(URL, &jwks(&signers.iter().collect::<Vec<_>>()));
}

async fn knows(world: &World, id: &str) -> bool {
    let keys = keys_of(world).keys(Some(id), &world.env).await;
    keys.is_ok_and(|keys| keys.has(id))
}

#[tokio::test]
async fn all_who_wait_share_one_request() {
    let world = publishing(&["a"]);
    let jwks = keys_of(&world);
    assert!(jwks.at_hand(&world.env).is_none());
    let all = join_all((0..100).map(|_| jwks.keys(Some("a"), &world.env))).await;
    assert!(all.into_iter().all(|keys| keys.unwrap().has("a")));
    assert_eq!(world.provider.asked(), 1);
    assert!(jwks.at_hand(&world.env).is_some());
}

#[test]
fn they_share_it_across_threads_and_policies() {
    let world = publishing(&["a"]);
    let begin = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (world, begin) = (&world, &begin);
            scope.spawn(move || {
                let env = world.env.for_endpoint(&format!("https://{number}.example"));
                let jwks = Jwks::of(&IdentityUrl::parse(URL).unwrap(), &env);
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                begin.wait();
                let keys = runtime.block_on(jwks.keys(Some("a"), &env)).unwrap();
                assert!(keys.has("a"));
            });
        }
    });
    assert_eq!(world.provider.asked(), 1);
}

#[tokio::test]
async fn a_request_goes_on_when_nobody_waits_for_it_any_more() {
    let world = publishing(&["a"]);
    let jwks = keys_of(&world);
    world.provider.hold();
    let mut waits = Box::pin(jwks.keys(Some("a"), &world.env));
    let polled = std::future::poll_fn(|context| Poll::Ready(waits.as_mut().poll(context))).await;
    assert!(polled.is_pending());
    drop(waits);
    world.provider.release();
    assert_eq!(world.tasks.run().await, 1);
    assert!(jwks.at_hand(&world.env).is_some());
    assert_eq!(world.provider.asked(), 1);
}

#[tokio::test]
async fn keys_are_renewed_before_anybody_waits_for_them() {
    let world = publishing(&["a"]);
    assert!(knows(&world, "a").await);
    world.tasks.run().await;
    world.clock.turn(secs(12 * 60 - 1));
    assert!(keys_of(&world).at_hand(&world.env).is_some());
    assert_eq!(
        world.tasks.run().await,
        0,
        "80 % of their time are not over"
    );
    world.clock.turn(secs(1));
    publish(&world, &["b"]);
    let before = keys_of(&world).at_hand(&world.env).unwrap();
    assert!(before.has("a"), "nobody waits");
    assert!(keys_of(&world).at_hand(&world.env).is_some());
    assert_eq!(world.tasks.run().await, 1, "one renewal for all");
    assert!(keys_of(&world).at_hand(&world.env).unwrap().has("b"));
    assert_eq!(world.provider.asked(), 2);
}

#[tokio::test]
async fn keys_whose_time_is_over_are_not_used_before_their_provider_was_asked() {
    let world = publishing(&["a"]);
    assert!(knows(&world, "a").await);
    publish(&world, &["b"]);
    world.clock.turn(secs(15 * 60));
    assert!(keys_of(&world).at_hand(&world.env).is_none());
    assert!(
        !knows(&world, "a").await,
        "it was taken away while nobody looked"
    );
}

#[tokio::test]
async fn a_shorter_max_age_is_honoured_down_to_a_minute() {
    for (said, lasts) in [
        ("max-age=0", 60),
        ("public, Max-Age=300", 300),
        ("max-age=\"120\"", 120),
        ("max-age=86400", 900),
        ("no-cache", 900),
        ("max-age=soon", 900),
    ] {
        let world = World::new();
        world
            .provider
            .answer(URL, 200, &[("cache-control", said)], r#"{"keys":[]}"#);
        keys_of(&world).keys(None, &world.env).await.unwrap();
        world.clock.turn(secs(lasts) - Duration::from_millis(1));
        assert!(keys_of(&world).at_hand(&world.env).is_some(), "{said}");
        world.clock.turn(Duration::from_millis(1));
        // The renewal that has begun is not run, so that its time comes.
        assert!(keys_of(&world).at_hand(&world.env).is_none(), "{said}");
    }
}

#[tokio::test]
async fn a_new_key_is_found_by_the_first_token_that_names_it() {
    let world = publishing(&["a"]);
    assert!(knows(&world, "a").await);
    publish(&world, &["a", "b"]);
    assert!(knows(&world, "b").await);
    assert_eq!(world.provider.asked(), 2);
    assert!(knows(&world, "a").await && knows(&world, "b").await);
    assert_eq!(world.provider.asked(), 2);
}

#[tokio::test]
async fn a_key_that_came_while_a_request_was_under_way_is_found_by_the_next() {
    let world = publishing(&["a"]);
    assert!(knows(&world, "a").await);
    world.tasks.run().await;
    world.clock.turn(secs(13 * 60));
    assert!(keys_of(&world).at_hand(&world.env).is_some());
    // The renewal is answered with what was published when it asked.
    world.provider.hold();
    let (renewed, found, ()) = tokio::join!(world.tasks.run(), knows(&world, "b"), async {
        tokio::task::yield_now().await;
        publish(&world, &["a", "b"]);
        world.provider.release();
    });
    assert_eq!((renewed, found), (1, true));
    assert_eq!(world.provider.asked(), 3);
}

#[tokio::test]
async fn a31_l_a_storm_of_unknown_names_asks_once_a_minute() {
    let world = publishing(&["a"]);
    assert!(knows(&world, "a").await);
    for minute in 1..=3 {
        for round in 0..50 {
            let names: Vec<_> = (0..20)
                .map(|name| format!("{minute} {round} {name}"))
                .collect();
            let all = join_all(names.iter().map(|name| knows(&world, name))).await;
            assert!(all.iter().all(|known| !known));
            assert!(knows(&world, "a").await, "nobody else is held up");
            world.clock.turn(secs(1));
        }
        assert_eq!(world.provider.asked(), 1 + minute);
        world.clock.turn(secs(10));
    }
}

#[tokio::test]
async fn a31_l_a_storm_at_the_beginning_asks_once() {
    let world = publishing(&["a"]);
    let names: Vec<_> = (0..200).map(|name| name.to_string()).collect();
    let all = join_all(names.iter().map(|name| knows(&world, name))).await;
    assert!(all.iter().all(|known| !known));
    // Those who found a request under way cannot know that it brings the newest keys: they ask once more, together.
    assert_eq!(world.provider.asked(), 2);
    assert!(!knows(&world, "x").await);
    assert_eq!(world.provider.asked(), 2);
}

#[tokio::test]
async fn a41_c_the_last_keys_serve_for_a_day_while_their_provider_is_down() {
    let world = publishing(&["a"]);
    assert!(knows(&world, "a").await);
    world
        .provider
        .fail(URL, FetchError::Failed("connection refused".to_owned()));
    world.tasks.run().await;
    let mut waited = 0;
    for minute in 1..24 * 60 {
        world.clock.turn(secs(60));
        let asked = world.provider.asked();
        if keys_of(&world).at_hand(&world.env).is_none() {
            waited += 1;
        }
        assert!(knows(&world, "a").await, "minute {minute}");
        world.tasks.run().await;
        assert!(world.provider.asked() <= asked + 1, "minute {minute}");
    }
    assert_eq!(waited, 0, "nobody waits for a provider that is down");
    world.clock.turn(secs(60));
    let gone = keys_of(&world)
        .keys(Some("a"), &world.env)
        .await
        .unwrap_err();
    assert_eq!(gone.to_string(), format!("{URL}: connection refused"));
    publish(&world, &["a"]);
    world.clock.turn(secs(30));
    assert!(
        knows(&world, "a").await,
        "it is asked again when it may be there"
    );
}

#[tokio::test]
async fn a_provider_that_was_never_there_is_asked_less_and_less() {
    let world = World::new();
    for second in 0..120 {
        let all = join_all((0..10).map(|_| knows(&world, "a"))).await;
        assert!(all.iter().all(|known| !known), "second {second}");
        world.clock.turn(secs(1));
    }
    // At 0, 1, 3, 7, 15, 31, 61, 91.
    assert_eq!(world.provider.asked(), 8);
    publish(&world, &["a"]);
    world.clock.turn(secs(1));
    assert!(knows(&world, "a").await);
}

#[tokio::test]
async fn what_is_no_key_set_does_not_replace_one() {
    let world = publishing(&["a"]);
    assert!(knows(&world, "a").await);
    for (status, body) in [
        (200, "<html>"),
        (500, ""),
        (404, "{}"),
        (204, ""),
        (200, "{}"),
    ] {
        world.clock.turn(secs(13 * 60));
        world.provider.answer(URL, status, &[], body);
        assert!(keys_of(&world).at_hand(&world.env).is_some());
        world.tasks.run().await;
        assert!(
            keys_of(&world).at_hand(&world.env).unwrap().has("a"),
            "{status} {body}"
        );
    }
    publish(&world, &[]);
    world.clock.turn(secs(60));
    assert!(keys_of(&world).at_hand(&world.env).is_some());
    world.tasks.run().await;
    assert!(!knows(&world, "a").await, "no keys are an answer");
}

#[tokio::test]
async fn the_same_text_is_the_same_set() {
    let world = publishing(&["a"]);
    let first = keys_of(&world).keys(None, &world.env).await.unwrap();
    world.clock.turn(secs(16 * 60));
    let second = keys_of(&world).keys(None, &world.env).await.unwrap();
    assert_eq!(world.provider.asked(), 2);
    assert!(Arc::ptr_eq(&first, &second));
}

#[tokio::test]
async fn a32_b_redirects_are_followed_within_the_origin_only() {
    let world = World::new();
    let at = |path: &str| format!("https://issuer.example/{path}");
    let to = |world: &World, from: &str, to: &str| {
        world
            .provider
            .answer(&at(from), 302, &[("location", to)], "");
    };
    to(&world, "jwks", "/1");
    to(&world, "1", "https://issuer.example:443/2");
    to(&world, "2", "3");
    world.provider.publish(&at("3"), &jwks(&[&signer("a")]));
    // The port is written as it stood in the redirect.
    world.provider.answer(
        "https://issuer.example:443/2",
        302,
        &[("location", "/3")],
        "",
    );
    world
        .provider
        .publish("https://issuer.example:443/3", &jwks(&[&signer("a")]));
    assert!(knows(&world, "a").await);
    let requests = world.provider.requests();
    assert_eq!(requests.len(), 4);
    for request in &requests {
        assert_eq!(request.purpose, crate::env::Purpose::Identity);
        assert!(request.timeout <= secs(10) && request.max == 1 << 20);
    }
    for location in [
        "https://evil.example/",
        "http://issuer.example/3",
        "//169.254.169.254/",
        "/jwks",
        "",
    ] {
        let world = World::new();
        to(&world, "jwks", location);
        assert!(!knows(&world, "a").await, "{location}");
        let asked: Vec<_> = world
            .provider
            .requests()
            .iter()
            .map(|asked| asked.url.clone())
            .collect();
        assert!(asked.iter().all(|url| *url == at("jwks")), "{asked:?}");
        assert!(asked.len() <= 4);
    }
}

#[tokio::test]
async fn a32_d_e_slow_and_endless_answers_are_given_up() {
    for error in [FetchError::Timeout, FetchError::TooLarge] {
        let world = publishing(&["a"]);
        assert!(knows(&world, "a").await);
        world.tasks.run().await;
        world.clock.turn(secs(16 * 60));
        world.provider.fail(URL, error.clone());
        assert!(knows(&world, "a").await, "{error}: the last keys serve");
        let world = World::new();
        world.provider.fail(URL, error.clone());
        let why = keys_of(&world).keys(None, &world.env).await.unwrap_err();
        assert_eq!(why.to_string(), format!("{URL}: {error}"));
    }
}

#[tokio::test]
async fn a32_f_a_description_of_another_issuer_is_not_believed() {
    let url = "https://issuer.example/.well-known/openid-configuration";
    let jwks_uri = "https://keys.example/jwks";
    for (asked, said, why) in [
        ("https://issuer.example", "https://issuer.example", ""),
        ("https://issuer.example/", "https://issuer.example/", ""),
        (
            "https://issuer.example",
            "https://issuer.example/",
            "the slash at the end counts",
        ),
        (
            "https://issuer.example/",
            "https://issuer.example",
            "the slash at the end counts",
        ),
        (
            "https://issuer.example",
            "https://evil.example",
            "its `issuer` is https://evil.example",
        ),
        (
            "https://issuer.example",
            "HTTPS://issuer.example",
            "its `issuer` is HTTPS://",
        ),
    ] {
        let world = World::new();
        let json = json!({"issuer": said, "jwks_uri": jwks_uri});
        world.provider.publish(url, &json.to_string());
        let discovery = Discovery::of(asked, &world.env).unwrap();
        match discovery.issuer(&world.env).await {
            Ok(issuer) => {
                assert_eq!((why, &*issuer.name), ("", asked));
                assert_eq!(issuer.jwks(&world.env).url().to_string(), jwks_uri);
                assert_eq!(issuer.json["jwks_uri"], jwks_uri);
            }
            Err(error) => {
                let error = error.to_string();
                assert!(!why.is_empty() && error.contains(why), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_description_names_keys_that_may_be_asked_for() {
    let issuer = "https://issuer.example/a";
    for (json, why) in [
        (json!({"issuer": issuer}), "it has no `jwks_uri`"),
        (
            json!({"issuer": issuer, "jwks_uri": 5}),
            "it has no `jwks_uri`",
        ),
        (
            json!({"issuer": issuer, "jwks_uri": "http://169.254.169.254/"}),
            "its `jwks_uri` cannot be used",
        ),
        (
            json!({"issuer": issuer, "jwks_uri": "file:///etc/passwd"}),
            "its `jwks_uri` cannot be used",
        ),
        (
            json!({"jwks_uri": "https://a.example/"}),
            "it has no `issuer`",
        ),
        (json!([]), "it is not JSON"),
    ] {
        let world = World::new();
        let url = format!("{issuer}/.well-known/openid-configuration");
        world.provider.publish(&url, &json.to_string());
        let discovery = Discovery::of(issuer, &world.env).unwrap();
        let error = discovery.issuer(&world.env).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    for issuer in [
        "http://issuer.example",
        "issuer",
        "https://issuer.example?a",
        "https://a.example#b",
    ] {
        let error = Discovery::url(issuer).unwrap_err();
        assert!(error.ends_with("(ERR_ADIT_2226)"), "{error}");
    }
}
