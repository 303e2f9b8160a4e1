//! Responses' bodies, changed while they pass.

use adit_policy::body::{
    BodyFault, Message, coding::Coding, compress::Compress, decode::Decode, sse::EventStream,
};
use bytes::BytesMut;
use http::{StatusCode, header};
use tokio::io::AsyncWriteExt;

use super::*;

/// Holds the whole body, and turns it round.
#[derive(Debug)]
struct Backwards(Vec<u8>);

const HELD: usize = 100_000;

impl Transform for Backwards {
    fn push(&mut self, piece: &[u8], _: &mut BytesMut) -> std::result::Result<(), BodyFault> {
        self.0.extend_from_slice(piece);
        match self.0.len() > HELD {
            true => Err(BodyFault::TooLarge),
            false => Ok(()),
        }
    }

    fn end(&mut self, out: &mut BytesMut) -> std::result::Result<(), BodyFault> {
        out.extend(self.0.iter().rev());
        Ok(())
    }

    fn holds(&self) -> Option<usize> {
        Some(HELD)
    }
}

fn backwards() -> Vec<Box<dyn Transform>> {
    vec![Box::new(Backwards(Vec::new()))]
}

fn gzip() -> Vec<Box<dyn Transform>> {
    vec![Box::new(Compress::new(Coding::Gzip).unwrap())]
}

/// Redacts an event stream, and ends it at a message that says so.
fn events() -> Vec<Box<dyn Transform>> {
    vec![Box::new(EventStream::new(|message: &mut Message| {
        let data = message.data.take().unwrap_or_default();
        if data == "fault" {
            return Err(BodyFault::TooLarge);
        }
        message.data = Some(data.replace("secret", "***"));
        Ok(())
    }))]
}

async fn rewriting(
    http2: bool,
    answer: fn() -> Response<Body>,
    transforms: fn() -> Vec<Box<dyn Transform>>,
) -> SocketAddr {
    let (member, _requests) = service(http2, answer).await;
    gateway(Reading {
        http2,
        transforms,
        ..reading(vec![member])
    })
    .await
}

/// A service that writes what it is told when it is told, and then closes.
async fn scripted() -> (SocketAddr, mpsc::UnboundedSender<&'static str>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (says, mut lines) = mpsc::unbounded_channel::<&str>();
    tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        io.set_nodelay(true).unwrap();
        head(&mut io).await;
        while let Some(line) = lines.recv().await {
            io.write_all(line.as_bytes()).await.unwrap();
        }
    });
    (addr, says)
}

async fn get(addr: SocketAddr, version: &str) -> TcpStream {
    let mut io = connect(addr).await;
    let request = format!("GET / {version}\r\nHost: a\r\n\r\n");
    io.write_all(request.as_bytes()).await.unwrap();
    io
}

async fn until(io: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let byte = soon(end, io.read_u8()).await;
        text.push(
            byte.unwrap_or_else(|_| panic!("no {end:?} in {:?}", String::from_utf8_lossy(&text))),
        );
    }
    String::from_utf8(text).unwrap()
}

async fn rest(io: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    // A reset is an end as well.
    drop(soon("the end", io.read_to_end(&mut rest)).await);
    String::from_utf8(rest).unwrap()
}

fn answer() -> Response<Body> {
    Response::new(Full::from("hello").boxed())
}

fn pieces() -> Response<Body> {
    let pieces = ["he", "l", "lo"].map(|piece| Frame::data(Bytes::from(piece)));
    Response::new(frames(pieces.into()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_body_is_framed_anew() {
    for (http2, answer) in [
        (false, answer as fn() -> _),
        (false, pieces),
        (true, answer),
        (true, pieces),
    ] {
        let addr = rewriting(http2, answer, backwards).await;
        let mut io = get(addr, "HTTP/1.1").await;
        let text = until(&mut io, "0\r\n\r\n").await;
        assert!(text.contains("\r\nolleh\r\n"), "{text}");
        assert!(
            !text.to_ascii_lowercase().contains("content-length"),
            "{text}"
        );
        // The connection goes on.
        io.write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let text = until(&mut io, "\r\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");

        let mut client = http2_client(addr).await;
        for method in ["GET", "HEAD"] {
            let request = Request::builder().method(method).uri("http://a/");
            let answer = client.send_request(request.body(frames(Vec::new())).unwrap());
            let answer = soon("an answer", answer).await.unwrap();
            assert_eq!(answer.headers().get(header::TRANSFER_ENCODING), None);
            if method == "GET" {
                assert_eq!(answer.headers().get(header::CONTENT_LENGTH), None);
                assert_eq!(answer.collect().await.unwrap().to_bytes(), "olleh");
            }
        }
    }
    let addr = rewriting(false, answer, backwards).await;
    let text = rest(&mut get(addr, "HTTP/1.0").await).await;
    assert!(text.ends_with("\r\n\r\nolleh"), "{text}");
    assert!(!text.to_ascii_lowercase().contains("chunked"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_without_a_body_stays_as_it_is() {
    fn with_status(status: StatusCode) -> Response<Body> {
        let mut response = Response::new(frames(Vec::new()));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert("x-kept", "1".parse().unwrap());
        response
    }
    for (answer, framing) in [
        ((|| with_status(StatusCode::NO_CONTENT)) as fn() -> _, ""),
        (|| with_status(StatusCode::NOT_MODIFIED), ""),
        (
            || {
                Response::builder()
                    .header("x-kept", 1)
                    .body(Full::default().boxed())
                    .unwrap()
            },
            "content-length: 0",
        ),
    ] {
        let addr = rewriting(false, answer, gzip).await;
        let mut io = get(addr, "HTTP/1.1").await;
        let text = until(&mut io, "\r\n\r\n").await.to_ascii_lowercase();
        assert!(text.contains("x-kept: 1"), "{text}");
        assert!(text.contains(framing), "{text}");
        assert!(!text.contains("transfer-encoding"), "{text}");
        io.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        assert!(until(&mut io, "\r\n\r\n").await.contains("HTTP/1.1"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_says_it_is_too_large_is_not_begun() {
    fn large() -> Response<Body> {
        Response::new(Full::from(pattern(HELD + 1)).boxed())
    }
    for http2 in [false, true] {
        let addr = rewriting(http2, large, backwards).await;
        let mut io = get(addr, "HTTP/1.1").await;
        let text = until(&mut io, "\r\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 502"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_turns_out_too_large_is_cut() {
    fn large() -> Response<Body> {
        let pieces = (0..8).map(|_| Frame::data(pattern(HELD / 4)));
        Response::new(frames(pieces.collect()))
    }
    for http2 in [false, true] {
        let addr = rewriting(http2, large, backwards).await;
        let text = rest(&mut get(addr, "HTTP/1.1").await).await;
        // Either the header had left, and nothing of the body follows, or it had not.
        assert!(
            !text.ends_with("0\r\n\r\n"),
            "it does not look whole: {text:.200}"
        );
        assert!(text.len() < 1000, "{text:.200}");
        let request = Request::get("http://a/").body(frames(Vec::new())).unwrap();
        let answer = http2_client(addr).await.send_request(request).await;
        let whole = match answer {
            Ok(answer) if answer.status() == 200 => answer.collect().await.is_ok(),
            _ => false,
        };
        assert!(!whole);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_piece_leaves_when_it_comes() {
    let (member, says) = scripted().await;
    let addr = gateway(Reading {
        transforms: events,
        ..reading(vec![member])
    })
    .await;
    let mut io = get(addr, "HTTP/1.1").await;
    says.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
    .unwrap();
    until(&mut io, "\r\n\r\n").await;
    says.send("10\r\ndata: a secret\n\n\r\n").unwrap();
    until(&mut io, "data: a ***\n\n\r\n").await;
    says.send("5\r\ndata:\r\n").unwrap();
    says.send("9\r\n secrets\n\r\n").unwrap();
    says.send("1\r\n\n\r\n").unwrap();
    until(&mut io, "data: ***s\n\n\r\n").await;
    // The end of the last message is still to come when the stream breaks.
    says.send("d\r\ndata: fault\n\n\r\n0\r\n\r\n").unwrap();
    assert_eq!(rest(&mut io).await, "", "cut, without a last chunk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_compressed_is_readable_while_the_service_pauses() {
    let (member, says) = scripted().await;
    let addr = gateway(Reading {
        transforms: gzip,
        ..reading(vec![member])
    })
    .await;
    let mut client = http2_client(addr).await;
    let request = Request::get("http://a/").body(frames(Vec::new())).unwrap();
    says.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        .unwrap();
    let mut answer = soon("a head", client.send_request(request)).await.unwrap();
    let mut decode = Decode::new(Coding::Gzip, 100).unwrap();
    let mut read = BytesMut::new();
    for piece in ["12345", "67890"] {
        says.send(piece).unwrap();
        let before = read.len();
        while read.len() < before + piece.len() {
            let frame = soon("a piece", answer.frame()).await.unwrap().unwrap();
            decode.push(&frame.into_data().unwrap(), &mut read).unwrap();
        }
    }
    assert_eq!(read, "1234567890");
    while let Some(frame) = soon("the end", answer.frame()).await {
        decode
            .push(&frame.unwrap().into_data().unwrap(), &mut read)
            .unwrap();
    }
    decode.end(&mut read).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_if_nothing_of_the_body_is_left() {
    fn with_trailers(last: &'static str) -> Response<Body> {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", "1".parse().unwrap());
        let data = Frame::data(Bytes::from_static(last.as_bytes()));
        Response::new(frames(vec![data, Frame::trailers(trailers)]))
    }
    for (answer, transforms, body, trailers) in [
        (
            (|| with_trailers("data: 1\n\n")) as fn() -> _,
            events as fn() -> _,
            "data: 1\n\n",
            true,
        ),
        (|| with_trailers("hello"), backwards, "olleh", false),
    ] {
        let addr = rewriting(true, answer, transforms).await;
        let request = Request::get("http://a/").body(frames(Vec::new())).unwrap();
        let mut client = http2_client(addr).await;
        let answer = soon("an answer", client.send_request(request))
            .await
            .unwrap();
        let answer = soon("a body", answer.collect()).await.unwrap();
        assert_eq!(answer.trailers().is_some(), trailers);
        assert_eq!(answer.to_bytes(), body);
    }
    let addr = rewriting(true, || with_trailers("data: fault\n\n"), events).await;
    let request = Request::get("http://a/").body(frames(Vec::new())).unwrap();
    let answer = http2_client(addr).await.send_request(request).await;
    let whole = match answer {
        Ok(answer) if answer.status() == 200 => answer.collect().await.is_ok(),
        _ => false,
    };
    assert!(!whole);
}
