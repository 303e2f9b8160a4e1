//! Clients that never rest while gateways and agents change under them, and what went wrong for them.

use std::{net::SocketAddr, path::PathBuf, process::Output, sync::Arc};

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use tokio::{
    process::Command,
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::{Public, h2, raw::Client, soon, tls};

/// Clients of each kind.
const EACH: usize = 2;

/// Requests that each client makes until it is said to go on.
const SOME: u64 = 5;

/// How a client treats its connection.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Each request on a new one.
    New,
    /// One request after the other, for as long as the gateway keeps it.
    Kept,
    /// The same over HTTP/2.
    Http2,
}

/// Where they knock.
#[derive(Debug, Clone)]
struct Place {
    https: SocketAddr,
    http: SocketAddr,
    ca_pem: PathBuf,
    host: String,
}

/// All clients at work.
pub(crate) struct Load {
    end: watch::Sender<bool>,
    clients: JoinSet<()>,
    /// What each one has been served.
    served: Vec<watch::Receiver<u64>>,
    failed: watch::Receiver<Vec<String>>,
}

// === impl Load ===

impl Load {
    /// Begins to ask this host for `/`, over http and https, on new connections and on kept ones.
    pub(crate) fn begin(gateway: &impl Public, host: &str) -> Self {
        let place = Place {
            https: gateway.https(),
            http: gateway.http(),
            ca_pem: gateway.ca_pem().to_owned(),
            host: host.to_owned(),
        };
        let (end, ended) = watch::channel(false);
        let (fail, failed) = watch::channel(Vec::new());
        let fail = Arc::new(fail);
        let (mut clients, mut served) = (JoinSet::new(), Vec::new());
        let kinds = [
            (Kind::New, false),
            (Kind::New, true),
            (Kind::Kept, false),
            (Kind::Kept, true),
            (Kind::Http2, true),
        ];
        for (kind, tls) in kinds.into_iter().cycle().take(kinds.len() * EACH) {
            let (count, counted) = watch::channel(0);
            served.push(counted);
            let (place, fail, ended) = (place.clone(), Arc::clone(&fail), ended.clone());
            clients.spawn(async move {
                while !*ended.borrow() {
                    let went = match kind {
                        Kind::Http2 => one_http2(&place, &ended, &count).await,
                        Kind::New | Kind::Kept => one(&place, (kind, tls), &ended, &count).await,
                    };
                    if let Err(why) = went {
                        fail.send_modify(|failed| {
                            failed.push(format!("{kind:?}, tls {tls}: {why}"))
                        });
                    }
                }
            });
        }
        Self {
            end,
            clients,
            served,
            failed,
        }
    }

    /// Waits until every client has been served some more, and nothing has failed for any.
    pub(crate) async fn goes_on(&mut self) {
        let served = self.served.iter_mut().map(|served| async {
            let before = *served.borrow_and_update();
            drop(served.wait_for(|now| *now >= before + SOME).await);
        });
        let all = futures_util::future::join_all(served);
        soon("every client to be served", all).await;
        assert!(
            self.failed.borrow().is_empty(),
            "{:#?}",
            self.failed.borrow()
        );
    }

    /// Lets the clients finish. Nothing has failed for any of them.
    pub(crate) async fn end(mut self) {
        self.end.send_replace(true);
        while let Some(client) = soon("a client to end", self.clients.join_next()).await {
            client.unwrap();
        }
        assert!(
            self.failed.borrow().is_empty(),
            "{:#?}",
            self.failed.borrow()
        );
    }
}

/// One connection.
async fn one(
    place: &Place,
    (kind, tls): (Kind, bool),
    ended: &watch::Receiver<bool>,
    served: &watch::Sender<u64>,
) -> Result<(), String> {
    let io = |error: std::io::Error| error.to_string();
    let mut client = match tls {
        false => Client::over(
            tokio::net::TcpStream::connect(place.http)
                .await
                .map_err(io)?,
        ),
        true => Client::over(
            tls::connect_to(place.https, &place.host, &place.ca_pem, &["http/1.1"])
                .await
                .map_err(io)?,
        ),
    };
    let close = match kind {
        Kind::New => "Connection: close\r\n",
        Kind::Kept | Kind::Http2 => "",
    };
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n{close}\r\n", place.host);
    loop {
        client.try_send(&request).await.map_err(io)?;
        let answer = client.answer().await;
        if answer.status != 200 || answer.closed {
            return Err(format!("{answer:?}"));
        }
        served.send_modify(|served| *served += 1);
        let last = answer.header("connection") == Some("close");
        if last || *ended.borrow() {
            return Ok(());
        }
    }
}

/// One connection of HTTP/2, until the gateway sends its client away.
async fn one_http2(
    place: &Place,
    ended: &watch::Receiver<bool>,
    served: &watch::Sender<u64>,
) -> Result<(), String> {
    let mut client = h2::connect_tls(place, &place.host).await;
    while client.ready().await.is_ok() && !*ended.borrow() {
        let url = place.url(&format!("https://{}/", place.host));
        let request = Request::get(url).body(Empty::new().boxed()).unwrap();
        let response = match client.try_send_request(request).await {
            Ok(response) => response,
            Err(mut error) => match error.take_message() {
                // Never sent: the gateway has said before that it goes.
                Some(_) => return Ok(()),
                None => return Err(format!("{error:?}")),
            },
        };
        let status = response.status();
        let body = response.into_body().collect().await;
        body.map_err(|error| format!("{error:?}"))?;
        if status != 200 {
            return Err(status.to_string());
        }
        served.send_modify(|served| *served += 1);
    }
    Ok(())
}

impl Public for Place {
    fn https(&self) -> SocketAddr {
        self.https
    }

    fn http(&self) -> SocketAddr {
        self.http
    }

    fn ca_pem(&self) -> &std::path::Path {
        &self.ca_pem
    }
}

/// A run of wrk: 32 connections that are kept.
pub(crate) struct Wrk(JoinHandle<std::io::Result<Output>>);

impl Wrk {
    /// Begins to ask for `/` at the plain port. To wait is no failure; not to be answered is one.
    pub(crate) fn begin(http: SocketAddr, host: &str, seconds: u32) -> Self {
        let mut wrk = Command::new("wrk");
        wrk.args(["-t1", "-c32", "--timeout", "20s", &format!("-d{seconds}s")])
            .args(["-H", &format!("Host: {host}"), &format!("http://{http}/")])
            .kill_on_drop(true);
        Self(tokio::spawn(wrk.output()))
    }

    /// Waits for its end. Nothing has failed.
    pub(crate) async fn end(self) {
        let output = soon("wrk to end", self.0).await.unwrap().unwrap();
        let report = String::from_utf8(output.stdout).unwrap();
        let requests = report
            .lines()
            .find_map(|line| line.trim().split_once(" requests in "));
        let requests: u64 = requests
            .unwrap_or_else(|| panic!("{report}"))
            .0
            .parse()
            .unwrap();
        assert!(requests > 100, "{report}");
        for trouble in ["Socket errors", "Non-2xx"] {
            assert!(!report.contains(trouble), "{report}");
        }
    }
}
