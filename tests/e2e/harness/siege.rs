//! A gateway in a process of its own, attacked from one address while somebody at another one is served.

use std::{future::Future, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{Deployed, Service, h2raw::H2, raw::Client, soon};

/// The longest that an honest exchange may take during an attack, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

const HONEST: &str = "GET /honest HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n";

/// The gateway, an agent and a service.
pub(crate) struct Siege {
    pub(crate) deployed: Deployed,
    pub(crate) service: Service,
    before: u64,
}

// === impl Siege ===

impl Siege {
    /// Starts everything and lets the gateway take the memory that honest work needs.
    pub(crate) async fn begin(limits: &str) -> Self {
        let service = Service::echo().await;
        let address = service.addr();
        let deployed = Deployed::start(
            &format!("limits: {{ {limits} }}"),
            &[
                ("http://app.localhost", &address),
                ("https://app.localhost", &address),
            ],
        )
        .await;
        let mut siege = Self {
            deployed,
            service,
            before: 0,
        };
        for _ in 0..20 {
            siege.serves().await;
        }
        siege.before = siege.deployed.gateway.rss_kib();
        siege
    }

    /// Runs an attack. Throughout, and after it, others are served in time.
    pub(crate) async fn during<T>(&self, attack: impl Future<Output = T>) -> T {
        let others = async {
            loop {
                self.serves().await;
            }
        };
        let outcome = tokio::select! {
            biased;
            outcome = attack => outcome,
            () = others => unreachable!("there is always one more"),
        };
        self.serves().await;
        outcome
    }

    /// The gateway never had so much more memory than before.
    pub(crate) fn took_at_most(&self, mib: u64) {
        let took = self
            .deployed
            .gateway
            .peak_rss_kib()
            .saturating_sub(self.before)
            / 1024;
        assert!(took <= mib, "the gateway took {took} MiB");
    }

    /// An attacker's connection, from another address than everybody else's.
    pub(crate) async fn attacker(&self, to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let tcp = socket.connect(to).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp
    }

    /// One that sends HTTP/1.1 by hand.
    pub(crate) async fn client(&self) -> Client {
        Client::over(self.attacker(self.deployed.http).await)
    }

    /// One that sends HTTP/2 by hand.
    pub(crate) async fn h2(&self, settings: &[(u16, u32)]) -> H2 {
        H2::hello(self.client().await, settings).await
    }

    /// Somebody at each port is served in time.
    async fn serves(&self) {
        let plain = async { Client::connect(self.deployed.http).await };
        let tls = Client::connect_tls(&self.deployed, "app.localhost", &["http/1.1"]);
        in_time(async { tokio::join!(serve(plain), serve(tls)) }).await;
    }
}

async fn serve(client: impl Future<Output = Client>) {
    let mut client = client.await;
    client.send(HONEST).await;
    assert_eq!(client.answer().await.status, 200);
}

async fn in_time<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event)
        .await
        .expect("others are served in time")
}

/// Sends the same bytes many times, for as long as the other end takes them.
pub(crate) async fn pour(tcp: &mut TcpStream, bytes: &[u8], times: usize) {
    let all = async {
        for _ in 0..times {
            if tcp.write_all(bytes).await.is_err() {
                return;
            }
        }
    };
    // Who takes no more is bounded, too.
    drop(timeout(Duration::from_secs(5), all).await);
}

/// Waits for the connection's end; a reset is one.
pub(crate) async fn ends(tcp: &mut TcpStream) {
    let mut space = vec![0; 64 * 1024];
    soon("the end of a connection", async {
        while matches!(tcp.read(&mut space).await, Ok(1..)) {}
    })
    .await;
}
