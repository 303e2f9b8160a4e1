//! Clients that ask and ask, each on one connection: whoever fails one of them, or closes its connection, is found out.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::task::JoinSet;

use super::raw;

/// Some clients of one host. Dropping them ends them unasked.
pub(crate) struct Regulars {
    clients: JoinSet<usize>,
    leaving: Arc<AtomicBool>,
}

impl Regulars {
    /// So many clients, each of whom has been answered once.
    pub(crate) async fn of(count: usize, gateway: SocketAddr, host: &str) -> Self {
        let leaving = Arc::<AtomicBool>::default();
        let mut clients = JoinSet::new();
        for _ in 0..count {
            let mut client = raw::Client::connect(gateway).await;
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            ask(&mut client, &request).await;
            let leaving = Arc::clone(&leaving);
            clients.spawn(async move {
                let mut asked = 0;
                // Once more when it is over, for what happens last.
                let mut last = false;
                while !last {
                    last = leaving.load(Ordering::Relaxed);
                    ask(&mut client, &request).await;
                    asked += 1;
                }
                asked
            });
        }
        Self { clients, leaving }
    }

    /// All of them were answered each time, on the connections that they came with.
    pub(crate) async fn leave(mut self) {
        self.leaving.store(true, Ordering::Relaxed);
        while let Some(asked) = self.clients.join_next().await {
            assert!(asked.unwrap() > 0);
        }
    }
}

async fn ask(client: &mut raw::Client, request: &str) {
    client.send(request).await;
    let answer = client.answer().await;
    assert!(answer.status == 200 && !answer.closed, "{answer:?}");
}
