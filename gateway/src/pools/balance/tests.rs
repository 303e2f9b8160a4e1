//! Who is chosen how often, and who is not.

use std::{collections::HashMap, time::Duration};

use super::*;
use crate::pools::{
    flight::Flight,
    member::Place,
    pool::Pool,
    testing::{member, member_of, place, policy, pool},
};

const ANY: Ask<'static> = Ask {
    core: 0,
    tried: &[],
    like: Like::Any,
    key: None,
    mark: None,
};

fn next(pool: &Pool, ask: &Ask<'_>) -> Option<u64> {
    Some(pool.choose(ask)?.member.id)
}

fn choices(pool: &Pool, count: usize) -> Vec<u64> {
    (0..count).map(|_| next(pool, &ANY).unwrap()).collect()
}

fn counted(choices: &[u64]) -> HashMap<u64, usize> {
    let mut counts = HashMap::new();
    choices
        .iter()
        .for_each(|id| *counts.entry(*id).or_default() += 1);
    counts
}

/// Whether so many of `all` are as many as a chance of `share` gives, within five standard deviations.
#[track_caller]
fn assert_share(count: usize, all: usize, share: f64) {
    let expected = all as f64 * share;
    let deviation = (expected * (1.0 - share)).sqrt();
    let off = (count as f64 - expected).abs();
    assert!(off <= 5.0 * deviation, "{count} of {all}, not {expected}");
}

fn key(text: &str) -> u64 {
    Pool::key_of(text)
}

// === in turn ===

#[test]
fn equal_members_serve_strictly_in_turn() {
    let pool = pool("{}", &[member(1, 7, 0), member(2, 7, 0), member(3, 7, 0)]);
    for turn in choices(&pool, 30).chunks(3) {
        assert_eq!(turn, [1, 2, 3]);
    }
}

#[test]
fn unequal_members_have_their_exact_shares_evenly_spread() {
    let pool = pool("{}", &[member(1, 95, 0), member(2, 5, 0)]);
    for round in choices(&pool, 200).chunks(20) {
        assert_eq!(counted(round)[&2], 1, "{round:?}");
    }
    let pool = pool_of_weights(&[5, 3, 1, 1]);
    let choices = choices(&pool, 1000);
    assert!(choices[..10] != [1, 1, 1, 1, 1, 2, 2, 2, 3, 4]);
    for window in choices.windows(25) {
        let counts = counted(window);
        for (id, share) in [(1, 12.5), (2, 7.5), (3, 2.5), (4, 2.5)] {
            let off = (*counts.get(&id).unwrap_or(&0) as f64 - share).abs();
            assert!(off <= 1.5, "{counts:?}");
        }
    }
}

#[test]
fn weights_of_which_no_table_can_be_made_are_spread_as_well() {
    let weights = [1_000_003, 500_009, 70_001, 1];
    let pool = pool_of_weights(&weights);
    let whole: u32 = weights.iter().sum();
    let choices = choices(&pool, 50_000);
    for window in [1_000, 10_000, 50_000] {
        for part in choices.chunks(window) {
            let counts = counted(part);
            for (id, weight) in (1..).zip(weights) {
                let expected = f64::from(weight) / f64::from(whole) * window as f64;
                let off = (*counts.get(&id).unwrap_or(&0) as f64 - expected).abs();
                assert!(off <= 4.0, "{id}: {off} off in {window}");
            }
        }
    }
}

#[test]
fn who_cannot_serve_is_passed_over_and_the_others_keep_their_proportions() {
    let members = [
        member(1, 1, 0),
        member(2, 1, 0),
        member(3, 1, 0),
        member(4, 2, 0),
    ];
    let pool = pool("{}", &members);
    members[1].session.drain();
    let counts = counted(&choices(&pool, 4000));
    assert_eq!(counts.get(&2), None);
    // The neighbour of the missing one gets no more than the others do.
    for (id, expected) in [(1, 1000), (3, 1000), (4, 2000)] {
        assert!(counts[&id].abs_diff(expected) <= 2, "{counts:?}");
    }
}

#[test]
fn the_light_one_serves_when_the_heavy_one_cannot() {
    let members = [member(1, 4000, 0), member(2, 1, 0)];
    let pool = pool("{}", &members);
    members[0].session.drain();
    assert_eq!(counted(&choices(&pool, 50))[&2], 50);
}

#[test]
fn each_core_takes_turns_by_itself() {
    let members = [member(1, 1, 0), member(2, 1, 0)];
    let pool = Arc::new(Pool::new(crate::config::Pool::default(), 2));
    for member in &members {
        pool.join(member, true, Duration::MAX).unwrap();
    }
    let of_core = |core| {
        let ask = Ask { core, ..ANY };
        (0..4)
            .map(|_| next(&pool, &ask).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(of_core(0), [1, 2, 1, 2]);
    assert_eq!(of_core(1), [2, 1, 2, 1]);
}

#[test]
fn a_second_try_goes_elsewhere_by_weight_and_costs_no_turn() {
    let members = [member(1, 1, 0), member(2, 3, 0), member(3, 1, 0)];
    let pool = pool("{}", &members);
    let ask = Ask { tried: &[1], ..ANY };
    let again: Vec<_> = (0..10_000).map(|_| next(&pool, &ask).unwrap()).collect();
    let counts = counted(&again);
    assert_eq!(counts.get(&1), None);
    assert_share(counts[&2], 10_000, 0.75);
    for round in choices(&pool, 50).chunks(5) {
        assert_eq!(counted(round)[&1], 1);
    }
    assert_eq!(
        next(
            &pool,
            &Ask {
                tried: &[1, 2, 3],
                ..ANY
            }
        ),
        None
    );
}

// === the less busy of two ===

#[test]
fn idle_members_are_drawn_by_weight() {
    let members = [member(1, 6, 0), member(2, 3, 0), member(3, 1, 0)];
    let pool = pool("{balance: least-requests}", &members);
    let counts = counted(&choices(&pool, 30_000));
    assert_share(counts[&1], 30_000, 0.6);
    assert_share(counts[&2], 30_000, 0.3);
    assert_share(counts[&3], 30_000, 0.1);
}

#[test]
fn of_two_the_one_with_less_at_work_for_its_weight_is_chosen() {
    let members = [member(1, 3, 0), member(2, 1, 0)];
    let pool = pool("{balance: least-requests}", &members);
    let mut flights = vec![Flight::of(&members[0]), Flight::of(&members[0])];
    flights.push(Flight::of(&members[1]));
    assert_eq!(
        counted(&choices(&pool, 100))[&1],
        100,
        "two of three are less than one of one"
    );
    flights.extend([Flight::of(&members[0]), Flight::of(&members[0])]);
    assert_eq!(counted(&choices(&pool, 100))[&2], 100);
    drop(flights);
    assert_eq!(members.each_ref().map(|member| member.in_flight()), [0, 0]);
    assert_eq!(members.each_ref().map(|member| member.begun()), [4, 1]);
}

#[test]
fn requests_that_last_are_spread_in_proportion_to_weights() {
    let members: Vec<_> = (1..=10)
        .map(|id| member(id, if id == 1 { 11 } else { 1 }, 0))
        .collect();
    let pool = pool("{balance: least-requests}", &members);
    let flights: Vec<_> = (0..2000)
        .map(|_| Flight::of(&pool.choose(&ANY).unwrap().member))
        .collect();
    assert!(
        (1000..1200).contains(&members[0].in_flight()),
        "{}",
        members[0].in_flight()
    );
    let others = members[1..].iter().map(|member| member.in_flight());
    let (least, most) = (others.clone().min().unwrap(), others.max().unwrap());
    assert!(
        most - least <= 12 && flights.len() == 2000,
        "{least} to {most}"
    );
}

#[test]
fn a_busy_pool_whose_others_are_gone_serves_with_the_one_that_is_left() {
    let members: Vec<_> = (1..=40).map(|id| member(id, 1, 0)).collect();
    let pool = pool("{balance: least-requests}", &members);
    members[1..].iter().for_each(|member| member.retire());
    let _busy: Vec<_> = (0..9).map(|_| Flight::of(&members[0])).collect();
    assert_eq!(counted(&choices(&pool, 50))[&1], 50);
}

// === by a key ===

fn nearest(pool: &Pool, count: usize) -> Vec<u64> {
    let texts = (0..count).map(|number| key(&format!("user-{number}")));
    texts
        .map(|key| {
            next(
                pool,
                &Ask {
                    key: Some(key),
                    ..ANY
                },
            )
            .unwrap()
        })
        .collect()
}

#[test]
fn keys_are_spread_by_weight_and_stay_where_they_are() {
    let members = [member(1, 5, 0), member(2, 3, 0), member(3, 2, 0)];
    let pool = pool("{balance: hash, hash_on: conn.client_ip}", &members);
    let first = nearest(&pool, 20_000);
    let counts = counted(&first);
    for (id, share) in [(1, 0.5), (2, 0.3), (3, 0.2)] {
        assert_share(counts[&id], 20_000, share);
    }
    assert_eq!(nearest(&pool, 20_000), first);
}

#[test]
fn when_a_member_goes_only_its_keys_move_and_when_it_is_back_they_are_too() {
    let members: Vec<_> = (1..=5)
        .map(|id| member(id, 1 + (id as u32 % 2), 0))
        .collect();
    let pool = pool("{balance: hash, hash_on: conn.client_ip}", &members);
    let before = nearest(&pool, 5_000);
    pool.leave(3);
    let without = nearest(&pool, 5_000);
    let mut moved = HashMap::<u64, usize>::new();
    for (old, new) in before.iter().zip(&without) {
        match old {
            3 => *moved.entry(*new).or_default() += 1,
            _ => assert_eq!(old, new),
        }
    }
    assert_eq!(moved.len(), 4, "they are spread over all others: {moved:?}");
    // The same agent has another session and another number now.
    let back = member_of("agent-3", 9, 2, 0);
    pool.join(&back, true, Duration::MAX).unwrap();
    let again: Vec<_> = nearest(&pool, 5_000);
    let again: Vec<_> = again
        .into_iter()
        .map(|id| if id == 9 { 3 } else { id })
        .collect();
    assert_eq!(again, before);
}

#[test]
fn more_weight_draws_keys_to_a_member_and_moves_no_others() {
    let members = [member(1, 1, 0), member(2, 1, 0), member(3, 1, 0)];
    let pool = pool("{balance: hash, hash_on: conn.client_ip}", &members);
    let before = nearest(&pool, 5_000);
    members[1].set_place(place(3, 0));
    let after = nearest(&pool, 5_000);
    assert_share(counted(&after)[&2], 5_000, 0.6);
    let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
    assert!(moved.map(|(_, new)| *new).all(|new| new == 2));
}

// === the one that the client knows ===

#[test]
fn a_client_stays_with_the_member_that_it_knows() {
    let members = [member(1, 1, 0), member(2, 1, 0)];
    let pool = pool("{sticky: {}}", &members);
    let known = |mark| {
        pool.choose(&Ask {
            mark: Some(mark),
            ..ANY
        })
        .unwrap()
    };
    for _ in 0..10 {
        let Chosen { member, anew } = known(2);
        assert_eq!((member.id, anew), (2, false));
    }
    assert!(known(77).anew, "nobody has this mark");
    // Without weight it takes no new clients, and keeps those it has.
    members[1].set_place(place(0, 0));
    assert_eq!(known(2).member.id, 2);
    assert_eq!(counted(&choices(&pool, 20))[&1], 20);
    members[1].session.drain();
    let Chosen { member, anew } = known(2);
    assert_eq!((member.id, anew), (1, true));
}

#[test]
fn a_client_of_a_tier_that_does_not_serve_any_more_is_given_another_member() {
    let members = [member(1, 1, 0), member(2, 1, 1)];
    let pool = pool("{sticky: {}}", &members);
    let ask = Ask {
        mark: Some(2),
        ..ANY
    };
    assert_eq!(next(&pool, &ask), Some(1));
    members[0].checked(Some("down"));
    assert_eq!(next(&pool, &ask), Some(2));
}

// === tiers ===

#[test]
fn a_higher_tier_serves_only_while_no_lower_can() {
    let members = [member(1, 1, 2), member(2, 1, 5), member(3, 0, 0)];
    let pool = pool("{}", &members);
    assert_eq!(counted(&choices(&pool, 9))[&1], 9);
    assert_eq!(next(&pool, &Ask { tried: &[1], ..ANY }), Some(2));
    members[0].checked(Some("not today"));
    assert_eq!(next(&pool, &ANY), Some(2));
    members[0].checked(None);
    assert_eq!(next(&pool, &ANY), Some(1));
    members[1].set_place(place(1, 0));
    assert_eq!(next(&pool, &ANY), Some(2));
    members[1].session.drain();
    members[0].retire();
    assert_eq!(next(&pool, &ANY), None);
}

#[test]
fn a_single_member_that_was_tried_is_not_chosen_again() {
    let pool = pool("{}", &[member(1, 1, 0)]);
    assert_eq!(next(&pool, &ANY), Some(1));
    assert_eq!(next(&pool, &Ask { tried: &[1], ..ANY }), None);
}

// === slow start ===

#[tokio::test(start_paused = true)]
async fn a_new_member_comes_to_its_share_little_by_little() {
    for balance in [
        "round-robin",
        "least-requests",
        "hash, hash_on: conn.client_ip",
    ] {
        let old = member(1, 1, 0);
        let pool = pool(&format!("{{slow_start: 10s, balance: {balance}}}"), &[old]);
        // One alone is not slowed.
        assert_eq!(counted(&choices(&pool, 20))[&1], 20);
        tokio::time::advance(Duration::from_secs(10)).await;
        pool.join(&member(2, 1, 0), true, Duration::MAX).unwrap();
        let share = || {
            let counts = counted(&nearest(&pool, 10_000));
            counts[&2]
        };
        assert_share(share(), 10_000, 0.1 / 1.1);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_share(share(), 10_000, 0.55 / 1.55);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_share(share(), 10_000, 0.5);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_warms_up_again_and_alone_it_is_not_slowed() {
    let members = [member(1, 1, 0), member(2, 1, 0)];
    let pool = pool("{slow_start: 10s}", &members);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(counted(&choices(&pool, 100))[&2], 50);
    members[1].checked(Some("refused"));
    members[1].checked(None);
    assert_share(counted(&choices(&pool, 10_000))[&2], 10_000, 0.1 / 1.1);
    members[0].session.drain();
    assert_eq!(counted(&choices(&pool, 100))[&2], 100);
}

// === weights ===

#[test]
fn the_operator_decides_before_the_configuration_and_that_before_the_agent() {
    let members = [member(1, 10, 0), member(2, 10, 0)];
    let pool = pool("{}", &members);
    let share = || counted(&choices(&pool, 100)).get(&2).copied().unwrap_or(0);
    assert_eq!(share(), 50);
    members[1].set_place(place(30, 0));
    assert_eq!(share(), 75);
    let weights = "{weights: [{agent: nobody, weight: 1}, {agent: agent-2, weight: 90}, {weight: 0}, {weight: 7}]}";
    pool.set_settings(serde_yaml::from_str(weights).unwrap());
    assert_eq!(share(), 100, "the first entry that fits counts");
    pool.override_weight(&members[0], Some(10));
    assert_eq!(share(), 90);
    let weight = pool.weight(&members[0]);
    assert_eq!(
        (
            weight.own,
            weight.configured,
            weight.overridden,
            weight.effective()
        ),
        (10, Some(0), Some(10), 10)
    );
    // The same agent comes back.
    pool.leave(1);
    let back = member_of("agent-1", 3, 55, 0);
    pool.join(&back, true, Duration::MAX).unwrap();
    assert_eq!(pool.weight(&back).effective(), 10);
    pool.override_weight(&back, None);
    pool.set_settings(crate::config::Pool::default());
    assert_eq!(pool.weight(&back).effective(), 55);
}

#[test]
fn metadata_may_choose_the_weight() {
    let canary = Place {
        metadata: "version=2".into(),
        ..place(100, 0)
    };
    let members = [member(1, 100, 0), member(2, 100, 0)];
    members[1].set_place(canary);
    let pool = pool(
        "{weights: [{metadata: version=2, weight: 5}, {weight: 95}]}",
        &members,
    );
    assert_eq!(counted(&choices(&pool, 200))[&2], 10);
    // An agent that says that it is another version now is weighed anew.
    members[1].set_place(place(100, 0));
    assert_eq!(counted(&choices(&pool, 200))[&2], 100);
}

// === policies ===

#[test]
fn another_member_takes_over_only_if_it_has_the_policy_that_ran() {
    const OLD: &str = "on_http_request: [{ actions: [{ type: deny }] }]";
    const NEW: &str = "on_http_request: [{ actions: [{ type: close-connection }] }]";
    let members = [member(1, 1, 0), member(2, 1, 0)];
    let pool = pool("{}", &members);
    members.iter().for_each(|m| m.set_policy(Some(policy(OLD))));
    let ran = members[0].policy();
    let next = |like| {
        let tried = &[1];
        next(&pool, &Ask { tried, like, ..ANY })
    };
    assert_eq!(next(Like::Policy(ran.as_deref())), Some(2));
    // What counts is the policy that has run, whatever its member has by now.
    members[0].set_policy(Some(policy(NEW)));
    assert_eq!(next(Like::Policy(ran.as_deref())), Some(2));
    members[1].set_policy(Some(policy(NEW)));
    assert_eq!(next(Like::Policy(ran.as_deref())), None);
    let newer = members[0].policy();
    assert_eq!(next(Like::Policy(newer.as_deref())), Some(2));
    members[1].set_policy(None);
    assert_eq!(next(Like::Policy(ran.as_deref())), None);
    assert_eq!(next(Like::Policy(None)), Some(2));
}

fn pool_of_weights(weights: &[u32]) -> Arc<Pool> {
    let members: Vec<_> = (1..)
        .zip(weights)
        .map(|(id, weight)| member(id, *weight, 0))
        .collect();
    pool("{}", &members)
}
