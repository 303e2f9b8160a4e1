//! Where requests written by hand are judged: a gateway, an agent, and a service that keeps every byte.
//!
//! The same service stands behind `denied.localhost`, `barred.localhost` and `marked.localhost`, too, whose
//! policies answer 401, answer 403 and add a header.
//!
//! Each case runs as the first request of a connection and as the second of a kept-alive one. After it, an
//! honest request from somebody else must be answered, and the service must have got that and nothing more.

use super::{Agent, Gateway, RawService, h2raw, raw};

/// What the service answers to everything.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The honest request.
const HONEST: &str = "GET /honest HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

/// What an operator says of the other hosts. What arrives is compared byte for byte, so no trace with an id by chance begins.
const POLICIES: &str = "
traces: { begin: off }
endpoints:
  - url: http://denied.localhost
    traffic_policy: { on_http_request: [{ actions: [{ type: deny, config: { status_code: 401 } }] }] }
  - url: http://barred.localhost
    traffic_policy: { on_http_request: [{ actions: [{ type: deny }] }] }
  - url: http://marked.localhost
    traffic_policy: { on_http_request: [{ actions: [{ type: add-headers, config: { headers: { x-user: alice } } }] }] }
";

/// A gateway with an agent before the service.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) service: RawService,
    _agent: Agent,
}

/// How much each connection to the service had carried at some moment.
pub(crate) struct Mark(Vec<usize>);

// === impl Stage ===

impl Stage {
    /// A gateway with defaults, a service that answers [`OK`].
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    /// The same with more lines for `gateway.yaml`.
    pub(crate) async fn with(extra: &str) -> Self {
        Self::before(RawService::answering(OK).await, extra).await
    }

    /// The same with an operator who has doubtful paths of `app.localhost` normalized.
    pub(crate) async fn normalizing() -> Self {
        Self::build(
            RawService::answering(OK).await,
            "",
            "  - { url: http://app.localhost, normalize_paths: true }\n",
        )
        .await
    }

    /// The same with another service.
    pub(crate) async fn before(service: RawService, extra: &str) -> Self {
        Self::build(service, extra, "").await
    }

    async fn build(service: RawService, extra: &str, endpoints: &str) -> Self {
        let gateway = Gateway::with(&format!("{extra}{POLICIES}{endpoints}")).await;
        let agent = Agent::builder(&gateway)
            .url("http://app.localhost")
            .upstream(service.addr())
            .url("https://app.localhost")
            .url("http://denied.localhost")
            .url("http://barred.localhost")
            .url("http://marked.localhost")
            .start()
            .await;
        Self {
            gateway,
            service,
            _agent: agent,
        }
    }

    /// A connection to the plain port; if not `fresh`, one that has carried an honest exchange.
    pub(crate) async fn client(&self, fresh: bool) -> raw::Client {
        let mut client = raw::Client::connect(self.gateway.http()).await;
        if !fresh {
            client.send(HONEST).await;
            assert_eq!(client.answer().await.status, 200);
        }
        client
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.service.received().iter().map(Vec::len).collect())
    }

    /// What has arrived at the service since then, by connection.
    pub(crate) fn arrived(&self, since: &Mark) -> Vec<String> {
        let connections = self.service.received();
        let fresh = connections.iter().enumerate().map(|(at, bytes)| {
            let known = since.0.get(at).copied().unwrap_or(0);
            String::from_utf8_lossy(&bytes[known..]).into_owned()
        });
        fresh.filter(|bytes| !bytes.is_empty()).collect()
    }

    /// The case must be answered with one of these statuses and the connection closed, and nothing may arrive.
    pub(crate) async fn refuses(&self, case: &str, request: impl AsRef<[u8]>, statuses: &[u16]) {
        for fresh in [true, false] {
            let mut client = self.client(fresh).await;
            let mark = self.mark();
            client.send(&request).await;
            let answer = client.answer().await;
            assert!(
                statuses.contains(&answer.status),
                "{case}, fresh {fresh}: {answer:?}"
            );
            let rest = String::from_utf8_lossy(&client.rest().await).into_owned();
            assert_eq!(rest, "", "{case}, fresh {fresh}: a second answer");
            self.nothing_arrived(case, &mark).await;
        }
    }

    /// The case must be answered with 200 and must arrive as these bytes.
    pub(crate) async fn passes(&self, case: &str, request: impl AsRef<[u8]>, arrives: &str) {
        for fresh in [true, false] {
            let mut client = self.client(fresh).await;
            let mark = self.mark();
            client.send(&request).await;
            let answer = client.answer().await;
            assert_eq!(answer.status, 200, "{case}, fresh {fresh}: {answer:?}");
            assert_eq!(self.arrived(&mark), [arrives], "{case}, fresh {fresh}");
        }
    }

    /// The head may have gone to the service before its body turned out to be broken: the client must be told with
    /// one of these statuses, both connections must end, and what follows must not arrive.
    pub(crate) async fn breaks_off(&self, case: &str, request: impl AsRef<[u8]>, statuses: &[u16]) {
        for fresh in [true, false] {
            let mut client = self.client(fresh).await;
            let mark = self.mark();
            client.send(&request).await;
            let answer = client.answer().await;
            assert!(
                statuses.contains(&answer.status),
                "{case}, fresh {fresh}: {answer:?}"
            );
            let rest = String::from_utf8_lossy(&client.rest().await).into_owned();
            assert_eq!(rest, "", "{case}, fresh {fresh}: a second answer");
            // Whoever comes next gets a connection on which nothing of this is left.
            let honest = raw::send(self.gateway.http(), HONEST).await;
            assert_eq!(honest.status, 200, "{case}");
            let arrived = self.arrived(&mark).concat();
            assert!(!arrived.contains("smuggled"), "{case}: {arrived}");
            assert_eq!(
                arrived.matches(" HTTP/1.1\r\n").count() - arrived.matches("POST").count(),
                1,
                "{case}: {arrived}"
            );
        }
    }

    /// As [`Stage::refuses`] for a request on HTTP/2, on which only the stream must end.
    pub(crate) async fn refuses_h2(&self, case: &str, fields: &[(&str, &str)], statuses: &[u16]) {
        let block = h2raw::block(fields);
        for fresh in [true, false] {
            let mut client = self.h2(fresh).await;
            let mark = self.mark();
            client.send(h2raw::headers(3, &block, true)).await;
            let answer = client.answer(3).await;
            let refused = answer
                .status
                .map_or_else(|| answer.broken_off(), |status| statuses.contains(&status));
            assert!(refused, "{case}, fresh {fresh}: {answer:?}");
            self.nothing_arrived(case, &mark).await;
            // What is left of the connection serves, or there is nothing left of it.
            if answer.goaway.is_none() && !answer.closed {
                let mark = self.mark();
                client
                    .send(h2raw::headers(5, &h2raw::block(&h2raw::get("/next")), true))
                    .await;
                let next = client.answer(5).await;
                assert!(
                    next.status == Some(200) || next.closed,
                    "{case}, fresh {fresh}: {next:?}"
                );
                if next.status == Some(200) {
                    assert_eq!(
                        self.arrived(&mark),
                        [forwarded_h2("GET /next HTTP/1.1", "")],
                        "{case}"
                    );
                }
            }
        }
    }

    /// As [`Stage::passes`] for a request on HTTP/2.
    pub(crate) async fn passes_h2(&self, case: &str, fields: &[(&str, &str)], arrives: &str) {
        let block = h2raw::block(fields);
        for fresh in [true, false] {
            let mut client = self.h2(fresh).await;
            let mark = self.mark();
            client.send(h2raw::headers(3, &block, true)).await;
            let answer = client.answer(3).await;
            assert_eq!(
                answer.status,
                Some(200),
                "{case}, fresh {fresh}: {answer:?}"
            );
            assert_eq!(self.arrived(&mark), [arrives], "{case}, fresh {fresh}");
        }
    }

    /// An HTTP/2 connection to the plain port, whose next stream is 3.
    pub(crate) async fn h2(&self, fresh: bool) -> h2raw::H2 {
        let mut client = h2raw::H2::connect(self.gateway.http()).await;
        if !fresh {
            let block = h2raw::block(&h2raw::get("/honest"));
            client.send(h2raw::headers(1, &block, true)).await;
            assert_eq!(client.answer(1).await.status, Some(200));
        }
        client
    }

    /// Nothing of the case has arrived, and an honest request still does.
    pub(crate) async fn nothing_arrived(&self, case: &str, since: &Mark) {
        assert_eq!(self.arrived(since), Vec::<String>::new(), "{case}");
        assert_eq!(raw::send(self.gateway.http(), HONEST).await.status, 200);
        assert_eq!(
            self.arrived(since),
            [forwarded("GET /honest HTTP/1.1", "")],
            "{case}"
        );
    }
}

/// A request without body as the service must get it: the request line, then Host, these header lines
/// and what the gateway says itself.
pub(crate) fn forwarded(request_line: &str, lines: &str) -> String {
    format!(
        "{request_line}\r\nHost: app.localhost\r\n{lines}X-Forwarded-For: 127.0.0.1\r\n\
         X-Forwarded-Proto: http\r\nX-Forwarded-Host: app.localhost\r\n\r\n"
    )
}

/// The head of a request with a body of chunks, which the gateway frames anew.
pub(crate) fn forwarded_chunked(request_line: &str) -> String {
    format!(
        "{request_line}\r\nHost: app.localhost\r\nX-Forwarded-Host: app.localhost\r\n\
         X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
}

/// The same as [`forwarded`] for a request that came on HTTP/2.
pub(crate) fn forwarded_h2(request_line: &str, lines: &str) -> String {
    format!(
        "{request_line}\r\n{lines}x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\n\
         x-forwarded-host: app.localhost\r\nHost: app.localhost\r\n\r\n"
    )
}
