//! What anybody may ask who can reach the admin listener: health and metrics. It changes nothing.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;

use super::{View, health, host, metrics};

/// The kinds of answers there are.
pub(super) enum Answer {
    Json(StatusCode, String),
    Metrics(String),
    Refusal(StatusCode, &'static str),
}

pub(super) fn answer<B>(request: &Request<B>, local: bool, view: &View) -> Response<Full<Bytes>> {
    decide(request, local, view).response()
}

fn decide<B>(request: &Request<B>, local: bool, view: &View) -> Answer {
    if local && !host::is_local(request) {
        // Otherwise a web page could lead its own name to this machine and read along.
        return Answer::Refusal(
            StatusCode::FORBIDDEN,
            "only localhost and addresses are hosts here\n",
        );
    }
    if request.method() != Method::GET {
        return Answer::Refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET is answered here\n",
        );
    }
    match request.uri().path() {
        "/health" => health::health(view),
        "/metrics" => Answer::Metrics(metrics::metrics(&view.edge)),
        _ => Answer::Refusal(StatusCode::NOT_FOUND, "there are /health and /metrics\n"),
    }
}

// === impl Answer ===

impl Answer {
    fn response(self) -> Response<Full<Bytes>> {
        let (status, kind, body) = match self {
            Self::Json(status, body) => (status, "application/json", body.into()),
            Self::Metrics(text) => (
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                text.into(),
            ),
            Self::Refusal(status, text) => (status, "text/plain; charset=utf-8", text.into()),
        };
        respond(status, kind, body)
    }
}

/// A response that nobody keeps and no browser takes for something else.
pub(super) fn respond(
    status: StatusCode,
    kind: &'static str,
    body: Bytes,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if status == StatusCode::METHOD_NOT_ALLOWED && kind.starts_with("text/") {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
    }
    response
}
