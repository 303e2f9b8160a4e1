//! Pingora's hooks in the order in which a request meets them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version, header};
use pingora_core::{Error, ErrorType, Result, upstreams::peer::HttpPeer};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};
use tokio::sync::watch;

use super::{
    adapt, answer, choice, cookies, decide, ended,
    exchange::{Exchange, Instead},
    log, mirror,
    response_body::{self, has_no_body},
    response_phase, retry, route,
    upstream::Upstreams,
};
use crate::{edge::Edge, front::io::connection, live::Live};

/// The HTTP side of one core.
pub(crate) struct Proxy {
    edge: Arc<Edge>,
    core: usize,
    /// What runs on this core and can be ended.
    live: Arc<Live>,
    upstreams: Upstreams,
    /// True once running exchanges are to be the last ones of their connections.
    finishing: watch::Receiver<bool>,
}

impl Proxy {
    pub(crate) fn new(
        edge: Arc<Edge>,
        core: usize,
        live: Arc<Live>,
        finishing: watch::Receiver<bool>,
    ) -> Self {
        let upstreams = Upstreams::new(core, &edge.limits());
        Self {
            edge,
            core,
            live,
            upstreams,
            finishing,
        }
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::begin(self.upstreams.core())
    }

    /// Nothing is compressed here, so no module is needed.
    fn init_downstream_modules(&self, _: &mut pingora_core::modules::http::HttpModules) {}

    /// Deadlines of everything that follows.
    async fn early_request_filter(&self, session: &mut Session, _: &mut Exchange) -> Result<()> {
        let limits = self.edge.limits();
        session.set_read_timeout(Some(limits.body_read_timeout.0));
        session.set_write_timeout(Some(limits.body_write_timeout.0));
        session.set_total_drain_timeout(Some(answer::DRAIN_TIME));
        if session.get_keepalive().is_some() {
            session.set_keepalive(Some(limits.idle_timeout.0.as_secs().max(1)));
        }
        Ok(())
    }

    /// Routing and policy. `true`: the answer has been sent.
    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        let instead = match route::route(&self.edge, session, exchange).await {
            Ok(()) => decide::request(&self.edge, session, exchange).await,
            Err(instead) => Some(instead),
        };
        match instead {
            None => {
                ended::list(&self.edge, &self.live, session, exchange);
                Ok(false)
            }
            Some(instead) => {
                if matches!(instead, Instead::Close(_)) {
                    // Of a connection that is torn there is no last hook.
                    log::ended(&self.edge, self.core, session, exchange);
                }
                answer::send(session, exchange, instead).await?;
                Ok(true)
            }
        }
    }

    /// Called again after each failure that may be repeated.
    async fn upstream_peer(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
    ) -> Result<Box<HttpPeer>> {
        let upgrade = session.get_header(header::UPGRADE).is_some();
        if let Some(kept) = &mut exchange.body {
            kept.begin_again();
        }
        ended::may_go_on(exchange)?;
        match decide::member(&self.edge, session, exchange).await {
            Ok(member) => {
                if let Some(routed) = &exchange.routed {
                    let pool = &routed.serving.pool;
                    if exchange.tries.begin(&pool.settings()) {
                        pool.budget.first_try(exchange.began);
                    }
                }
                Ok(self.upstreams.peer(member, exchange, upgrade))
            }
            Err(instead) => {
                exchange.instead = Some(instead);
                Err(Error::explain(
                    ErrorType::ConnectError,
                    "no agent is left to try",
                ))
            }
        }
    }

    /// Nothing of the request was sent yet: another member may be tried.
    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        exchange: &mut Exchange,
        error: Box<Error>,
    ) -> Box<Error> {
        retry::not_connected(exchange, error)
    }

    /// What policies may see and a service may not.
    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        for layer in &exchange.layers {
            adapt::replay(layer.policy.upstream_edits().to_vec(), request)?;
        }
        ended::may_go_on(exchange)?;
        ended::make_interruptible(session, exchange.listed.as_ref());
        mirror::begin(&self.edge, session, exchange, &self.finishing);
        cookies::withhold_own(request)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if let (true, Some(dial)) = (end, &exchange.dial) {
            if dial.is_timed() && !session.as_mut().is_body_empty() {
                exchange.tries.body_has_come();
                dial.had_body();
            }
            dial.request_ended();
        }
        if let Some(listed) = &exchange.listed {
            ended::may_go_on(exchange)?;
            if end {
                listed.request_ended();
            }
        }
        let ended = end || body.is_none();
        if let Some(kept) = &mut exchange.body {
            kept.hand_on(body, end);
        }
        mirror::pass_request(exchange, body.as_ref(), ended);
        // HTTP/2 may end a body with an empty frame. Pingora would write it as an empty chunk and
        // then the last chunk as well, which the service takes for the next request.
        if end && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if response.status == StatusCode::SWITCHING_PROTOCOLS
            && !agrees(session.req_header(), response)
        {
            return Err(Error::explain(
                ErrorType::InvalidHTTPHeader,
                "the service switches to a protocol that nobody asked for",
            ));
        }
        if retry::answered(session, response, exchange) {
            return Err(Error::explain(
                ErrorType::Custom("retried"),
                "another member is asked for a better answer",
            ));
        }
        if let Some(dial) = &exchange.dial
            && has_no_body(&session.req_header().method, response)
        {
            dial.response_ended();
        }
        mirror::answered(session, response, exchange);
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>> {
        if let (true, Some(dial)) = (end, &exchange.dial) {
            dial.response_ended();
        }
        mirror::pass_response(exchange, body.as_ref(), end);
        Ok(None)
    }

    /// The policies' response phase.
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        ended::may_go_on(exchange)?;
        log::answered(&self.edge, exchange);
        // Of a 101, too: browsers take its cookies.
        adapt::remove_own_headers(response);
        cookies::drop_foreign(response, exchange.shared_domain(&self.edge))?;
        choice::remember(response, exchange)?;
        if response.status.is_informational() {
            if response.status == StatusCode::SWITCHING_PROTOCOLS {
                ended::answered(&self.edge, &self.live, session, response, exchange);
            }
            return Ok(());
        }
        if *self.finishing.borrow() {
            // The connection is closed after this response, and the client is told.
            session.set_keepalive(None);
        }
        if session.req_header().version == Version::HTTP_10
            && response.remove_header(&header::TRANSFER_ENCODING).is_some()
        {
            // RFC 9112 §6.1: HTTP/1.0 knows no chunks. The connection's end is the body's end instead.
            session.set_keepalive(None);
        }
        let Some(instead) = response_phase::response(&self.edge, session, response, exchange).await
        else {
            ended::answered(&self.edge, &self.live, session, response, exchange);
            return Ok(());
        };
        exchange.instead = Some(instead);
        Err(Error::explain(
            ErrorType::Custom("policy"),
            "a policy replaced the response",
        ))
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>> {
        if exchange.listed.is_some() {
            ended::may_go_on(exchange)?;
            if let (Some(frames), Some(bytes)) = (&mut exchange.frames, &body) {
                frames.pass(bytes);
            }
        }
        response_body::pass(exchange, body, end)?;
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        session: &mut Session,
        trailers: &mut HeaderMap,
        exchange: &mut Exchange,
    ) -> Result<Option<Bytes>> {
        retry::trailed(trailers, exchange);
        Ok(response_body::end(exchange, session).await)
    }

    /// The try has failed on its way.
    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        exchange: &mut Exchange,
        pooled: bool,
    ) -> Box<Error> {
        retry::broken(session, exchange, error, pooled)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        exchange: &mut Exchange,
    ) -> FailToProxy {
        if matches!(exchange.instead, Some(Instead::Close(_))) {
            log::ended(&self.edge, self.core, session, exchange);
        }
        answer::fail(session, exchange, error).await
    }

    fn suppress_error_log(&self, _: &Session, _: &Exchange, _: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, exchange: &mut Exchange) {
        if let Some(connection) = connection(session) {
            connection.switch.exchange_ended();
        }
        log::ended(&self.edge, self.core, session, exchange);
        mirror::ended(&self.edge, exchange, error.is_none());
        let outcome = exchange.outcome(error);
        for mut layer in std::mem::take(&mut exchange.layers) {
            log::layer_ended(&mut layer, outcome);
        }
        exchange.routed = None;
        exchange.listed = None;
    }
}

/// Whether a 101 answers what was asked for: a WebSocket is the only upgrade that is forwarded.
fn agrees(request: &RequestHeader, response: &ResponseHeader) -> bool {
    let websocket = |headers: &HeaderMap| {
        headers
            .get(header::UPGRADE)
            .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
    };
    request.version == Version::HTTP_11
        && websocket(&request.headers)
        && websocket(&response.headers)
}
