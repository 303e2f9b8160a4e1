//! A connection to one of several addresses: a dead one holds nobody up (RFC 8305).

use std::{future::Future, io, net::SocketAddr, time::Duration};

use tokio::{task::JoinSet, time::timeout};

/// The next address is tried beside the ones before it after so long, or when all of those have failed.
const HEAD_START: Duration = Duration::from_millis(250);
/// An address that has not answered by then does not count any more.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Most addresses that are tried; the others of a longer answer are left out.
const ADDRESSES_MAX: usize = 8;

/// The first connection that comes about, and where it leads to; else why the last address had none.
pub(super) async fn dial<C, F>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<(C, SocketAddr)>
where
    C: Send + 'static,
    F: Future<Output = io::Result<C>> + Send + 'static,
{
    let mut last = io::Error::other("it has no address");
    let mut waiting = in_turn(addresses).into_iter().take(ADDRESSES_MAX);
    // Dropped with the connection that won: it ends the others.
    let mut tries = JoinSet::new();
    loop {
        let next = waiting.next();
        let more = next.is_some();
        if let Some(address) = next {
            let connecting = timeout(CONNECT_MAX, connect(address));
            tries.spawn(async move {
                match connecting.await {
                    Ok(connected) => connected.map(|connection| (connection, address)),
                    Err(_) => Err(io::Error::other(format!(
                        "no connection to {} within {} seconds",
                        address.ip(),
                        CONNECT_MAX.as_secs()
                    ))),
                }
            });
        }
        let ended = match more {
            true => timeout(HEAD_START, tries.join_next()).await,
            false => Ok(tries.join_next().await),
        };
        match ended {
            Ok(Some(Ok(Ok(connected)))) => return Ok(connected),
            Ok(Some(Ok(Err(error)))) => last = error,
            // Nothing aborts a try while its set is there, and connecting does not panic.
            Ok(Some(Err(ended))) => last = io::Error::other(ended),
            Ok(None) if !more => return Err(last),
            Ok(None) | Err(_) => {}
        }
    }
}

/// IPv6 and IPv4 by turns, the kind of the first address first: where one of the two leads nowhere, all of its
/// addresses do.
fn in_turn(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut these, mut those): (Vec<SocketAddr>, Vec<SocketAddr>) = addresses
        .iter()
        .rev()
        .copied()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut turns = Vec::with_capacity(addresses.len());
    while turns.len() < addresses.len() {
        turns.extend(these.pop());
        turns.extend(those.pop());
    }
    turns
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use tokio::time::Instant;

    use super::*;

    fn at(addresses: &[&str]) -> Vec<SocketAddr> {
        let addresses = addresses.iter();
        addresses
            .map(|address| SocketAddr::new(address.parse().unwrap(), 443))
            .collect()
    }

    /// 192.0.2.x hangs, 198.51.100.x refuses, others answer.
    async fn connect(address: SocketAddr) -> io::Result<()> {
        match address.ip().to_string() {
            ip if ip.starts_with("192.0.2.") => pending().await,
            ip if ip.starts_with("198.51.100.") => Err(io::Error::other("refused")),
            _ => Ok(()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_first_address_costs_a_quarter_of_a_second() {
        let began = Instant::now();
        let addresses = at(&["192.0.2.1", "203.0.113.1"]);
        let ((), answered) = dial(&addresses, connect).await.unwrap();
        assert_eq!(answered, addresses[1]);
        assert_eq!(began.elapsed(), HEAD_START);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refuses_costs_nothing() {
        let began = Instant::now();
        let addresses = at(&["198.51.100.1", "203.0.113.1"]);
        let ((), answered) = dial(&addresses, connect).await.unwrap();
        assert_eq!(answered, addresses[1]);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_still_wins_over_dead_ones() {
        let slow = |address: SocketAddr| async move {
            match address.ip().to_string().as_str() {
                "203.0.113.9" => {
                    tokio::time::sleep(HEAD_START * 3).await;
                    Ok(())
                }
                _ => pending().await,
            }
        };
        let addresses = at(&["203.0.113.9", "192.0.2.1", "192.0.2.2"]);
        let ((), answered) = dial(&addresses, slow).await.unwrap();
        assert_eq!(answered, addresses[0]);
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_that_do_not_answer_are_given_up() {
        let began = Instant::now();
        let error = dial(&at(&["192.0.2.1", "192.0.2.2"]), connect).await;
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "no connection to 192.0.2.2 within 5 seconds");
        assert_eq!(began.elapsed(), HEAD_START + CONNECT_MAX);
        let none = dial(&[], connect).await.unwrap_err();
        assert_eq!(none.to_string(), "it has no address");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_a_few_of_many_addresses_are_tried() {
        let tried = Arc::<AtomicUsize>::default();
        let many: Vec<_> = (0..100).flat_map(|_| at(&["198.51.100.1"])).collect();
        let own = Arc::clone(&tried);
        let refused = dial(&many, move |address| {
            own.fetch_add(1, Ordering::Relaxed);
            connect(address)
        });
        assert!(refused.await.is_err());
        assert_eq!(tried.load(Ordering::Relaxed), ADDRESSES_MAX);
    }

    #[test]
    fn both_kinds_of_addresses_take_turns() {
        let mixed = at(&["2001:db8::1", "2001:db8::2", "192.0.2.1", "2001:db8::3"]);
        let turns = at(&["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]);
        assert_eq!(in_turn(&mixed), turns);
    }
}
