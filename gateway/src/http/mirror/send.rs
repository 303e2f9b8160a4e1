//! A copy's request and its answer, on a connection within the process.

use std::{sync::Arc, time::Duration};

use adit_policy::mirror::{Answer, Copied};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{io::DuplexStream, task::AbortHandle, time::Instant};

use super::held::{Bounded, Held};
use crate::http::{ended::is_stream, forwarded};

/// About the longest header of an answer in bytes.
const HEADER_MAX: usize = 64 * 1024;

const ERROR_CODE: HeaderName = HeaderName::from_static("adit-error-code");

/// The answer to a copy, and how long its header took.
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) took: Duration,
}

/// Sends a copy, and reads of its answer what is compared. `Err`: there is none, and why.
pub(super) async fn send(
    io: DuplexStream,
    copied: &Copied,
    body: Bytes,
    held: &Arc<Held>,
    max: usize,
) -> Result<Answered, String> {
    let began = Instant::now();
    let broken = |error: hyper::Error| format!("the answer is broken: {error}");
    let mut http = http1::Builder::new();
    http.max_buf_size(HEADER_MAX);
    let (mut sender, connection) = http.handshake(TokioIo::new(io)).await.map_err(broken)?;
    let _ends = Ends(tokio::spawn(connection).abort_handle());
    let request = request(copied, body).ok_or("the copy cannot be written as HTTP/1.1")?;
    let (head, mut body) = sender
        .send_request(request)
        .await
        .map_err(broken)?
        .into_parts();
    let took = began.elapsed();
    if let Some(why) = own_page(head.status, &head.headers) {
        return Err(why);
    }
    let mut collected = Bounded::new(max);
    if is_stream(&head.headers) {
        collected.begin_again(Some(usize::MAX));
    }
    while !collected.is_over() {
        let Some(frame) = body.frame().await else {
            break;
        };
        if let Ok(piece) = frame.map_err(broken)?.into_data() {
            collected.push(&piece);
        }
    }
    Ok(Answered {
        answer: Answer {
            status: head.status,
            headers: held.wanted(&head.headers),
            body: collected.take(),
        },
        took,
    })
}

/// Who the client is the connection says, and nobody else.
fn request(copied: &Copied, body: Bytes) -> Option<Request<Full<Bytes>>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = copied.method.clone();
    *request.uri_mut() = copied.target.parse().ok()?;
    let lines = copied.lines.iter();
    let lines = lines.filter(|(name, _)| !forwarded::is_reserved(name));
    *request.headers_mut() = lines
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Some(request)
}

/// The gateway's own word that nobody answers: only it says this header.
fn own_page(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let code = headers.get(ERROR_CODE)?.to_str().ok()?;
    let offline = status == StatusCode::NOT_FOUND && code == "ERR_ADIT_3200";
    (offline || status.is_server_error()).then(|| format!("{} {code}", status.as_u16()))
}

/// Ends a connection's task with the copy that it was made for.
struct Ends(AbortHandle);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_what_the_gateway_says_of_itself_is_no_answer() {
        let of = |status: u16, code: Option<&'static str>| {
            let lines = code.map(|code| (ERROR_CODE, HeaderValue::from_static(code)));
            own_page(
                StatusCode::from_u16(status).unwrap(),
                &lines.into_iter().collect(),
            )
        };
        assert_eq!(
            of(404, Some("ERR_ADIT_3200")).as_deref(),
            Some("404 ERR_ADIT_3200")
        );
        assert_eq!(
            of(502, Some("ERR_ADIT_8012")).as_deref(),
            Some("502 ERR_ADIT_8012")
        );
        // What a policy refuses is an answer.
        assert_eq!(of(403, Some("ERR_ADIT_3203")), None);
        assert_eq!(of(502, None), None);
        assert_eq!(of(200, None), None);
    }
}
