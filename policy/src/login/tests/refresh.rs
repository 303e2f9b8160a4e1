//! The provider is asked again.

use futures_util::future::join;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn the_provider_is_asked_again_from_time_to_time() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    for count in 1..4 {
        rig.turn(HOUR);
        let seen = rig.visit(&mut browser, "/").await;
        assert_eq!(seen.status, None);
        assert_eq!(seen.cookies.len(), 1, "the browser gets the new one");
        assert!(rig.visit(&mut browser, "/").await.cookies.is_empty());
        assert_eq!(rig.refreshes(), count);
    }
}

#[tokio::test]
async fn tabs_that_come_with_the_older_cookie_do_not_ask_twice() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    rig.turn(HOUR);
    let (mut one, mut two, mut late) = (browser.clone(), browser.clone(), browser.clone());
    let (first, second) = join(rig.visit(&mut one, "/"), rig.visit(&mut two, "/")).await;
    assert_eq!((first.status, second.status), (None, None));
    assert_eq!(rig.refreshes(), 1);
    rig.turn(Duration::from_secs(60));
    let seen = rig.visit(&mut late, "/").await;
    assert_eq!((seen.status, seen.cookies.len()), (None, 1));
    assert_eq!(
        rig.refreshes(),
        1,
        "what the provider said is kept for a while"
    );
    rig.turn(HOUR);
    assert_eq!(rig.visit(&mut late, "/").await.status, None);
    assert_eq!(rig.refreshes(), 2, "with the refresh token of then");
}

#[tokio::test]
async fn a36_e_whom_the_provider_refuses_is_out() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    let mut older = browser.program();
    rig.turn(HOUR);
    rig.fail(Some(Failed::Refused("invalid_grant".to_owned())));
    let seen = rig.visit(&mut browser.program(), "/").await;
    assert_eq!((seen.status, seen.code), (Some(401), Some(3151)));
    rig.fail(None);
    let seen = rig.visit(&mut older, "/").await;
    assert_eq!((seen.status, seen.code), (Some(401), Some(3100)));
    assert_eq!(rig.visit(&mut browser, "/").await.status, Some(302));
}

#[tokio::test]
async fn a41_c_a_session_goes_on_while_the_provider_is_away() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    rig.fail(Some(Failed::Unreachable("no route".to_owned())));
    for count in 1..4 {
        rig.turn(HOUR);
        // The scripted provider counts what it does not answer, too.
        rig.provider.refreshes.store(0, Ordering::Relaxed);
        assert_eq!(rig.visit(&mut browser, "/").await.status, None);
        assert_eq!(rig.visit(&mut browser, "/").await.status, None);
        assert_eq!(rig.refreshes(), 1, "once in an interval, the {count}. time");
    }
}

#[tokio::test]
async fn a_large_session_is_refreshed_where_it_is_kept() {
    let rig = Rig::with(
        "",
        Scripted {
            bulk: 60_000,
            ..Scripted::default()
        },
    );
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    let mut older = browser.clone();
    for count in 1..3 {
        rig.turn(HOUR);
        assert_eq!(rig.visit(&mut browser, "/").await.status, None);
        assert_eq!(rig.visit(&mut older, "/").await.status, None);
        assert_eq!(rig.refreshes(), count);
    }
}

#[tokio::test]
async fn a_policy_that_asks_for_more_asks_at_once() {
    let rig = Rig::new();
    let mut browser = Browser::new();
    rig.sign_in(&mut browser, "alice").await;
    let more = rig.beside("scopes: [groups]");
    assert_eq!(more.visit(&mut browser, "/").await.status, None);
    assert_eq!(rig.refreshes(), 1);
    assert_eq!(more.visit(&mut browser, "/").await.status, None);
    assert_eq!(rig.refreshes(), 1);
}
