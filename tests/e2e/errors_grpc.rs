//! What a client of gRPC is told when the gateway has to answer itself.
//! The same with a real client is in `grpc.rs`; here every byte of the answer is looked at.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Body as _, Incoming},
};
use tokio::net::TcpListener;

use crate::harness::{Agent, Gateway, Service, h2, soon};

/// A unary call's head and body; the message is empty.
fn call(url: &str) -> Request<h2::Body> {
    let request = Request::post(url)
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers");
    request
        .body(Full::new(Bytes::from_static(&[0; 5])).boxed())
        .unwrap()
}

/// How clients of gRPC are told: HTTP 200, and a status in the only head there is.
async fn is_trailers_only(response: Response<Incoming>, status: &str, words: &str) {
    let said = |name: &str| {
        response
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(response.status(), 200, "{response:?}");
    assert_eq!(said("content-type").as_deref(), Some("application/grpc"));
    assert_eq!(said("grpc-status").as_deref(), Some(status), "{response:?}");
    assert!(
        said("grpc-message").unwrap().contains(words),
        "{response:?}"
    );
    assert!(response.body().is_end_stream(), "the head must be the end");
    let body = soon("the end", response.into_body().collect())
        .await
        .unwrap();
    assert!(body.trailers().is_none());
    assert!(body.to_bytes().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_grpc_are_told_in_their_own_way() {
    let service = Service::echo().await;
    let gateway = Gateway::with(
        "limits: { upstream_timeout: 300ms }\nendpoints: [{ url: \"https://empty.localhost\" }]",
    )
    .await;
    // A port on which nobody listens any more.
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    let _agent = Agent::builder(&gateway)
        .url("https://hang.localhost")
        .upstream(service.addr())
        .url("https://denied.localhost")
        .policy("on_http_request: [{ actions: [{ type: deny }] }]")
        .url("https://down.localhost")
        .upstream(port)
        .start()
        .await;
    for (host, path, status, words) in [
        ("nobody", "/", "12", "there is no endpoint"),
        ("empty", "/", "14", "no agent"),
        ("down", "/", "14", "nothing listens on"),
        ("denied", "/", "7", "403"),
        ("denied", "//pkg.Service/Call", "2", "two slashes"),
        ("hang", "/hang", "14", "did not answer in time"),
    ] {
        let host = format!("{host}.localhost");
        let mut client = h2::connect_tls(&gateway, &host).await;
        let request = call(&gateway.url(&format!("https://{host}{path}")));
        let response = soon("an answer", client.send_request(request))
            .await
            .unwrap();
        is_trailers_only(response, status, words).await;
    }
}
