//! A new gateway in the place of an old one, under load, and nobody notices: by taking over, and on systemd's sockets.

use std::{
    net::TcpListener,
    os::{fd::AsRawFd, unix::net::UnixDatagram},
    sync::Arc,
};

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::harness::{
    AditProcess, Deployed,
    command::home,
    gateway, listening,
    load::{Load, Wrk},
    named::Named,
    online,
    operator::{health, health_until, metric},
    raw, soon,
};

const HOST: &str = "app.localhost";

/// Becomes its arguments from the second one on, with the listed descriptors where systemd puts them.
const ACTIVATE: &str = "
import fcntl, os, sys
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(',')]
for number, fd in enumerate(high):
    os.dup2(fd, 3 + number)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)))
os.execv(sys.argv[2], sys.argv[2:])
";

async fn deployed(service: &Named, extra: &str) -> Deployed {
    let addr = service.address();
    let urls = [
        ("http://app.localhost", &addr as &dyn std::fmt::Display),
        ("https://app.localhost", &addr),
    ];
    Deployed::start(extra, &urls).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_takes_over_loses_no_request() {
    let service = Named::start("app").await;
    let mut deployed = deployed(&service, "").await;
    let wrk = Wrk::begin(deployed.http, HOST, 8);
    let mut load = Load::begin(&deployed, HOST);
    for _ in 0..2 {
        load.goes_on().await;
        let mut old = deployed.take_over().await;
        old.wait_for_line(|line| line.contains("another gateway has taken over"))
            .await;
        load.goes_on().await;
        assert_eq!(old.wait_exit().await.code(), Some(0), "{}", old.output());
        deployed
            .gateway
            .wait_for_line(|line| line.contains("the gateway before this one has ended"))
            .await;
        load.goes_on().await;
        assert!(
            !deployed.gateway.output().contains("opened anew"),
            "{}",
            deployed.gateway.output()
        );
        assert_eq!(health(deployed.admin).await["sessions"], 1);
    }
    load.end().await;
    wrk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_at_the_old_gateway_is_finished_there() {
    let service = Named::start("app").await;
    let mut deployed = deployed(&service, "").await;
    let mut running = raw::Client::connect(deployed.http).await;
    running
        .send(format!("GET /hang HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
        .await;
    service.hanging(1).await;
    let mut old = deployed.take_over().await;
    health_until(deployed.admin, "the agent at the new one", |health| {
        health["sessions"] == 1
    })
    .await;
    let new = raw::send(
        deployed.http,
        format!("GET /new HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
    )
    .await;
    assert_eq!(new.text(), "app /new");
    service.release();
    let answer = running.answer().await;
    assert_eq!(
        (answer.text().as_str(), answer.header("connection")),
        ("app /hang", Some("close"))
    );
    assert_eq!(old.wait_exit().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_wait_for_agents_that_are_on_their_way_and_not_too_many() {
    let service = Named::start("app").await;
    let mut deployed = deployed(&service, "limits: { held_requests: 2, arrival: 15s }").await;
    deployed.agent.stop();
    let _old = deployed.take_over().await;
    let get = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let mut asking = JoinSet::new();
    for _ in 0..5 {
        let (http, get) = (deployed.http, get.clone());
        asking.spawn(async move { raw::send(http, get).await });
    }
    for _ in 0..3 {
        let answer = soon("one for whom there is no room", asking.join_next()).await;
        assert_eq!(answer.unwrap().unwrap().status, 503);
    }
    deployed.agent.cont();
    while let Some(answer) = soon("one who has waited", asking.join_next()).await {
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "app /"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_longer_than_the_configuration_says() {
    let service = Named::start("app").await;
    let mut deployed = deployed(&service, "limits: { arrival: 100ms }").await;
    deployed.agent.stop();
    let _old = deployed.take_over().await;
    let answer = raw::send(
        deployed.http,
        format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"),
    )
    .await;
    assert_eq!(answer.status, 404);
    deployed.agent.cont();
}

/// What systemd is to a unit with a socket: it holds the sockets, and starts gateways on them.
struct Systemd {
    home: Arc<TempDir>,
    sockets: [(&'static str, TcpListener); 3],
    notified: UnixDatagram,
}

impl Systemd {
    fn new() -> Self {
        let home = Arc::new(TempDir::new().unwrap());
        let open = |name| {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            // It is for the processes that are started here.
            rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).unwrap();
            (name, socket)
        };
        let notified = UnixDatagram::bind(home.path().join("notify")).unwrap();
        notified
            .set_read_timeout(Some(crate::harness::LONGEST))
            .unwrap();
        let agents = [("tester".to_owned(), vec!["bind:*".to_owned()])];
        gateway::write(home.path(), (0, 0), &agents, "");
        Self {
            home,
            sockets: ["https", "http", "admin"].map(open),
            notified,
        }
    }

    async fn start(&self) -> AditProcess {
        let numbers = self
            .sockets
            .each_ref()
            .map(|(_, socket)| socket.as_raw_fd().to_string());
        let names = self.sockets.each_ref().map(|(name, _)| *name);
        let notify = self.home.path().join("notify");
        let envs = [
            ("LISTEN_FDNAMES", names.join(":")),
            ("NOTIFY_SOCKET", notify.to_str().unwrap().to_owned()),
        ];
        let envs = envs.each_ref().map(|(name, value)| (*name, value.as_str()));
        let before = ["python3", "-c", ACTIVATE, &numbers.join(",")];
        let args = [
            "gateway",
            "--config",
            "gateway.yaml",
            "--log-format",
            "logfmt",
        ];
        let home = Arc::clone(&self.home);
        let mut gateway = AditProcess::spawn_within(&before, home, args, &envs);
        for (name, socket) in &self.sockets {
            assert_eq!(
                listening(&mut gateway, name).await,
                socket.local_addr().unwrap()
            );
        }
        gateway
    }

    fn hears(&self) -> String {
        let mut space = [0; 200];
        let length = self.notified.recv(&mut space).unwrap();
        String::from_utf8(space[..length].to_vec()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_on_systemds_sockets_is_restarted_without_a_lost_request() {
    let service = Named::start("app").await;
    let systemd = Systemd::new();
    let mut gateway = systemd.start().await;
    assert_eq!(
        systemd.hears(),
        format!("READY=1\nMAINPID={}", gateway.pid())
    );
    let [https, http, admin] = systemd
        .sockets
        .each_ref()
        .map(|(_, socket)| socket.local_addr().unwrap());
    let ca_pem = systemd.home.path().join("data/ca.pem");
    let agents_home = home(
        &format!("localhost:{}", https.port()),
        &ca_pem,
        &gateway::token_of("tester"),
    );
    let yaml = format!(
        "version: 3\nendpoints:\n  - {{ name: a, url: \"http://{HOST}\", upstream: {{ url: \"{0}\" }} }}\n  \
         - {{ name: b, url: \"https://{HOST}\", upstream: {{ url: \"{0}\" }} }}\n",
        service.address()
    );
    std::fs::write(agents_home.path().join("more.yml"), yaml).unwrap();
    let args = [
        "start",
        "--all",
        "--config",
        ".config/adit/adit.yml",
        "--config",
        "more.yml",
        "--log",
        "stdout",
        "--log-format",
        "logfmt",
    ];
    let mut agent = AditProcess::spawn_in(agents_home, args, &[]);
    online(&mut agent, 2).await;
    let public = OnSockets {
        https,
        http,
        ca_pem,
    };
    let wrk = Wrk::begin(http, HOST, 10);
    let mut load = Load::begin(&public, HOST);
    for _ in 0..2 {
        load.goes_on().await;
        gateway.signal("HUP");
        assert!(systemd.hears().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert!(systemd.hears().starts_with("READY=1"));
        gateway.term();
        assert_eq!(systemd.hears(), "STOPPING=1");
        assert_eq!(
            gateway.wait_exit().await.code(),
            Some(0),
            "{}",
            gateway.output()
        );
        gateway = systemd.start().await;
        assert!(systemd.hears().starts_with("READY=1"));
        load.goes_on().await;
    }
    load.end().await;
    wrk.end().await;
    assert!(metric(admin, "adit_sessions").await > 0);
}

struct OnSockets {
    https: std::net::SocketAddr,
    http: std::net::SocketAddr,
    ca_pem: std::path::PathBuf,
}

impl crate::harness::Public for OnSockets {
    fn https(&self) -> std::net::SocketAddr {
        self.https
    }

    fn http(&self) -> std::net::SocketAddr {
        self.http
    }

    fn ca_pem(&self) -> &std::path::Path {
        &self.ca_pem
    }
}
