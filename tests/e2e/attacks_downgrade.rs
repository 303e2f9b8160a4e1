//! HTTP/2 on its way to a service of HTTP/1.1, A24, A25: what the older one cannot say is not said.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;

use crate::harness::{
    h2, h2raw, soon,
    stage::{Stage, forwarded_chunked},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a24_a_b_c_d_what_http1_cannot_say_is_refused_on_http2() {
    let stage = Stage::new().await;
    let more: [(&str, &str, &str); 22] = [
        ("a", "x-a", "b\r\nx-evil: 1"),
        ("a", "x-a", "b\nx-evil: 1"),
        ("a", "x-a", "b\rx-evil: 1"),
        ("a", "x-a", "b\0"),
        ("b", "x a", "b"),
        ("b", "x:a", "b"),
        ("b", "x-a:", "b"),
        ("b", "X-Upper", "b"),
        ("b", "x-a\r\nx-evil", "b"),
        ("b", "", "b"),
        ("b", "x\u{e4}", "b"),
        ("c", "transfer-encoding", "chunked"),
        ("c", "connection", "close"),
        ("c", "keep-alive", "timeout=5"),
        ("c", "proxy-connection", "close"),
        ("c", "upgrade", "websocket"),
        ("c", "te", "gzip"),
        ("d", ":path", "/second"),
        ("d", ":method", "POST"),
        ("d", ":authority", "admin.localhost"),
        ("d", ":unknown", "b"),
        ("d", ":status", "200"),
    ];
    for (letter, name, value) in more {
        stage
            .refuses_h2(
                &format!("a24 {letter} {name:?}: {value:?}"),
                &h2raw::get_with(&[(name, value)]),
                &[400],
            )
            .await;
    }
    let [method, scheme, authority, path] = h2raw::get("/");
    let whole: [(&str, &[(&str, &str)]); 12] = [
        (
            "d, second :path first",
            &[method, scheme, authority, (":path", "/second"), path],
        ),
        (
            "d, behind a header",
            &[method, scheme, authority, ("x-a", "b"), path],
        ),
        ("d, no :path", &[method, scheme, authority]),
        ("d, no :method", &[scheme, authority, path]),
        ("d, no :scheme", &[method, authority, path]),
        (
            "d, empty :path",
            &[method, scheme, authority, (":path", "")],
        ),
        (
            "d, empty :method",
            &[(":method", ""), scheme, authority, path],
        ),
        (
            "a, :path",
            &[
                method,
                scheme,
                authority,
                (":path", "/ HTTP/1.1\r\nx-evil: 1"),
            ],
        ),
        (
            "a, blank in :path",
            &[method, scheme, authority, (":path", "/a HTTP/1.1")],
        ),
        (
            "a, :method",
            &[
                (":method", "GET / HTTP/1.1\r\nx-evil: 1"),
                scheme,
                authority,
                path,
            ],
        ),
        (
            "a, blank in :method",
            &[(":method", "GET /smuggled"), scheme, authority, path],
        ),
        (
            "a, :authority",
            &[
                method,
                scheme,
                (":authority", "app.localhost\r\nx-evil: 1"),
                path,
            ],
        ),
    ];
    for (case, fields) in whole {
        stage
            .refuses_h2(&format!("a24 {case}"), fields, &[400])
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a24_e_trailers_never_become_headers() {
    let stage = Stage::new().await;
    let trailers = [
        ("content-length", "55"),
        ("transfer-encoding", "gzip"),
        ("authorization", "Basic YTpi"),
        ("host", "admin.localhost"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-checksum", "b0d1"),
    ];
    for (name, value) in trailers {
        let path = format!("/{name}");
        let mut fields = h2raw::get(&path);
        fields[0].1 = "POST";
        let mut client = stage.h2(true).await;
        let mark = stage.mark();
        let head = h2raw::headers(3, &h2raw::block(&fields), false);
        let data = h2raw::frame(h2raw::DATA, 0, 3, b"body");
        let end = h2raw::headers(3, &h2raw::block(&[(name, value)]), true);
        client.send([head, data, end].concat()).await;
        let answer = client.answer(3).await;
        // Somebody else's exchange takes longer than bytes that are on their way.
        stage.client(false).await;
        let arrived = stage.arrived(&mark).concat();
        assert!(!arrived.contains(value), "{name}: {arrived}");
        let whole = arrived.contains("4\r\nbody\r\n0\r\n\r\n");
        match answer.status {
            Some(200) => assert!(whole, "{name}: {arrived}"),
            _ => assert!(
                answer.broken_off() && !whole,
                "{name}: {answer:?} {arrived}"
            ),
        }
    }
    // The same in HTTP/1.1's own chunks.
    let lines: String = trailers
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .concat();
    stage
        .passes(
            "a24 e on HTTP/1.1",
            format!("POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n{lines}\r\n"),
            &(forwarded_chunked("POST / HTTP/1.1") + "4\r\nbody\r\n0\r\n\r\n"),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a25_grpc_to_a_denied_route_gets_trailers_only() {
    let stage = Stage::new().await;
    for (host, grpc_status) in [("denied.localhost", "16"), ("barred.localhost", "7")] {
        for kind in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc; charset=utf-8",
        ] {
            let mark = stage.mark();
            let mut client = h2::connect_plain(&stage.gateway).await;
            let request = Request::post(format!("http://{host}/service/Method"))
                .header("content-type", kind)
                .header("te", "trailers")
                .body(Empty::<Bytes>::new().boxed())
                .unwrap();
            let response = soon("an answer", client.send_request(request))
                .await
                .unwrap();
            assert_eq!(response.status(), 200, "{host} {kind}");
            assert_eq!(
                response.headers()["grpc-status"],
                grpc_status,
                "{host} {kind}"
            );
            assert_eq!(response.headers()["content-type"], "application/grpc");
            let body = soon("its end", response.into_body().collect())
                .await
                .unwrap();
            assert!(body.trailers().is_none() && body.to_bytes().is_empty());
            stage.nothing_arrived(host, &mark).await;
        }
    }
}
