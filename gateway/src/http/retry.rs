//! What becomes of an exchange whose try has failed: another connection, another member, another endpoint, or nothing.
//!
//! | what happened | who tries again |
//! |---|---|
//! | there was no stream, or nothing of the request went out on it | another member, whatever the method |
//! | a reused connection broke that its service may have closed meanwhile | the same member on a new one, if idempotent |
//! | no answer in time, or the connection broke before the head of the response | another member, if idempotent, within `retries` and the budget |
//! | one of `retry_statuses` | the same |
//! | anything after the head of the response was sent on | nobody |
//!
//! `docs/failover.md` tells it to operators. What the client breaks off is never tried again and never counts against a member.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use pingora_core::{Error, ErrorSource, ErrorType, RetryType};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::time::Instant;

use super::{
    answer,
    dial::Dial,
    errors::ErrorPage,
    exchange::{Exchange, Instead},
    tries::Miss,
};
use crate::pools::{
    health::Failure,
    pool::{Like, Pool},
};

/// No connection to the member in use: another one is tried.
pub(super) fn not_connected(exchange: &mut Exchange, mut error: Box<Error>) -> Box<Error> {
    let Some(dial) = exchange.dial.clone() else {
        error.set_retry(false);
        return error;
    };
    let pool = exchange.routed.as_ref().map(|routed| &routed.serving.pool);
    let why = match (pool, dial.failure()) {
        (Some(pool), Some(failure)) => pool.not_opened(dial.member(), &failure),
        (Some(pool), None) => {
            let why = match error.etype() {
                ErrorType::ConnectTimedout => Failure::Timeout,
                _ => Failure::Broken,
            };
            blame(pool, &dial, why);
            Some(why)
        }
        (None, _) => None,
    };
    note(exchange, &dial, why);
    exchange.tries.page = Some(after_all(exchange, ErrorPage::of_dial(&dial)));
    error.set_retry(!exchange.tries.is_over());
    error
}

/// Something broke on the way between the client and the member in use.
pub(super) fn broken(
    session: &Session,
    exchange: &mut Exchange,
    mut error: Box<Error>,
    pooled: bool,
) -> Box<Error> {
    let granted = std::mem::take(&mut exchange.tries.granted);
    let again = granted || goes_on(session, exchange, &error, pooled);
    error.set_retry(again && exchange.ended().is_none());
    error
}

fn goes_on(session: &Session, exchange: &mut Exchange, error: &Error, pooled: bool) -> bool {
    let dial = exchange.dial.clone();
    let Some(dial) = dial.filter(|_| *error.esource() == ErrorSource::Upstream) else {
        return false;
    };
    // Once its head is there, policies may have begun to change the response.
    let unspoiled = !dial.head_came()
        && !session.as_ref().retry_buffer_truncated()
        && session.response_written().is_none();
    let late = dial.is_late() || is_timeout(error);
    let repeatable = unspoiled && session.req_header().method.is_idempotent();
    let untouched = !dial.has_sent() || matches!(error.retry, RetryType::Decided(true));
    let stale = match dial.was_reused() {
        true => is_break(error),
        false => pooled && matches!(error.retry, RetryType::ReusedOnly),
    };
    let lost = dial.member().session.end.is_cancelled();
    if !late && !lost {
        if stale && repeatable {
            return true;
        }
        if untouched && unspoiled && !std::mem::replace(&mut exchange.tries.replaced, true) {
            return true;
        }
    }
    // A service may close a connection that nobody uses, and a request may cross that.
    let why = match stale && !late && !lost {
        true => None,
        false => failure(session, &dial, lost, late),
    };
    if let (Some(why), Some(routed)) = (why, &exchange.routed) {
        blame(&routed.serving.pool, &dial, why);
    }
    note(exchange, &dial, why);
    let costs_nothing = untouched && unspoiled && !late;
    if costs_nothing || repeatable && may_retry(exchange) {
        exchange.tries.page = Some(page(exchange, error));
        return true;
    }
    if unspoiled && exchange.can_fall_back() {
        // Whatever the method: the policy that forwarded it says that something else is to serve it then.
        exchange.instead = Some(Instead::Page(page(exchange, error)));
        if let Some(routed) = &mut exchange.routed {
            routed.member = None;
        }
        return true;
    }
    false
}

/// The head of a response is there. `true`: another member is asked instead of sending it on.
pub(super) fn answered(
    session: &Session,
    response: &ResponseHeader,
    exchange: &mut Exchange,
) -> bool {
    let (Some(dial), Some(routed)) = (&exchange.dial, &exchange.routed) else {
        return false;
    };
    let status = response.status;
    if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
        return false;
    }
    dial.head_has_come();
    let well = !says_broken(response, routed.grpc);
    dial.member().answered(well);
    if !status.is_client_error() && !status.is_server_error() && well {
        return false;
    }
    let pool = &routed.serving.pool;
    if !well {
        pool.failed(dial.member(), Failure::ServerError);
    }
    let again = pool.settings().retry_statuses.contains(&status.as_u16())
        && session.req_header().method.is_idempotent()
        && !session.as_ref().retry_buffer_truncated()
        && session.response_written().is_none();
    if !again {
        return false;
    }
    let dial = Arc::clone(dial);
    note(exchange, &dial, Some(Failure::ServerError));
    exchange.tries.granted = may_retry(exchange);
    if !exchange.tries.granted {
        // Its response is sent on after all.
        exchange.tried.pop();
        exchange.tries.misses.pop();
    }
    exchange.tries.granted
}

/// The trailers of a response are there: gRPC says in them how the call ended.
pub(super) fn trailed(trailers: &HeaderMap, exchange: &Exchange) {
    if let (Some(dial), Some(routed)) = (&exchange.dial, &exchange.routed)
        && routed.grpc
        && is_unavailable(trailers)
    {
        let pool = &routed.serving.pool;
        pool.failed(dial.member(), Failure::ServerError);
    }
}

/// Whether a response says that its service is broken. 501 and 505 speak of the request; `UNAVAILABLE` is the one status of
/// gRPC that means the same as 503, and no other does.
fn says_broken(response: &ResponseHeader, grpc: bool) -> bool {
    let of_request = matches!(
        response.status,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED
    );
    response.status.is_server_error() && !of_request || grpc && is_unavailable(&response.headers)
}

fn is_unavailable(headers: &HeaderMap) -> bool {
    headers.get("grpc-status").is_some_and(|code| code == "14")
}

fn blame(pool: &Pool, dial: &Dial, why: Failure) {
    match why {
        Failure::Timeout => pool.timed_out(dial.member()),
        why => pool.failed(dial.member(), why),
    }
}

/// The member in use is not asked again.
fn note(exchange: &mut Exchange, dial: &Dial, why: Option<Failure>) {
    let member = Arc::clone(dial.member());
    exchange.tried.push(member.id);
    exchange.tries.misses.push(Miss { member, why });
}

/// What the member did, if it was the member: a service need not wait for the end of a request that never comes.
fn failure(session: &Session, dial: &Dial, lost: bool, late: bool) -> Option<Failure> {
    let switched = session
        .response_written()
        .is_some_and(|written| written.status == StatusCode::SWITCHING_PROTOCOLS);
    match () {
        () if switched => None,
        () if lost => Some(Failure::Connect),
        () if late && !dial.head_came() => Some(Failure::Timeout),
        () if !dial.request_is_over() => None,
        () if dial.head_came() => Some(Failure::CutShort),
        () => Some(Failure::Broken),
    }
}

/// Whether one more try is granted. The member in use counts as tried.
fn may_retry(exchange: &mut Exchange) -> bool {
    let Some(routed) = &exchange.routed else {
        return false;
    };
    let pool = &routed.serving.pool;
    let settings = pool.settings();
    let like = Like::Policy(routed.agent_policy.as_deref());
    let may = exchange.tries.retries < settings.retries
        && !exchange.tries.is_over()
        && pool.has_another(&exchange.tried, like)
        && pool.budget.take(Instant::now(), &settings.retry_budget);
    exchange.tries.retries += u32::from(may);
    may
}

/// What the client is told if this was the last try.
pub(super) fn page(exchange: &Exchange, error: &Error) -> ErrorPage {
    after_all(exchange, answer::page(exchange, error))
}

/// A page about one member, if it was the only one; of several that took too long none is to blame.
fn after_all(exchange: &Exchange, page: ErrorPage) -> ErrorPage {
    let in_vain = exchange.tries.misses.len();
    match page.status {
        StatusCode::GATEWAY_TIMEOUT if in_vain > 1 => ErrorPage::nobody_in_time(in_vain),
        _ => page,
    }
}

fn is_timeout(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::ReadTimedout | ErrorType::WriteTimedout
    )
}

/// Whether the stream broke. Pingora knows by the number of the operating system's error, and a stream's errors have
/// none.
fn is_break(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed
    )
}
