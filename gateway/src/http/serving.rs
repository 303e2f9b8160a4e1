//! Pingora's server of one core: built for the limits of the moment, and anew for connections that come when they have
//! changed.

use std::sync::{Arc, Mutex, PoisonError};

use pingora_core::{
    apps::{HttpServerOptions, ServerApp},
    protocols::{Stream, http::v2::server::default_h2_options},
    server::configuration::ServerConf,
};
use pingora_proxy::HttpProxy;
use tokio::sync::watch;

use super::proxy::Proxy;
use crate::{config::Limits, edge::Edge, live::Live};

/// The HTTP server of one core.
pub(crate) struct Serving {
    edge: Arc<Edge>,
    core: usize,
    live: Arc<Live>,
    servers: Mutex<Servers>,
    /// Tells Pingora: finish what runs, keep nothing alive.
    finish: watch::Sender<bool>,
    /// Nobody looks at this one: whoever gets a copy after the end was told still sees it as news.
    finishing: watch::Receiver<bool>,
}

struct Servers {
    /// What the present one was built for.
    limits: Arc<Limits>,
    present: Arc<HttpProxy<Proxy>>,
}

// === impl Serving ===

impl Serving {
    pub(crate) fn new(edge: Arc<Edge>, core: usize, live: Arc<Live>) -> Self {
        let (finish, finishing) = watch::channel(false);
        let limits = Arc::clone(&edge.limits());
        let hooks = Proxy::new(edge.clone(), core, live.clone(), finishing.clone());
        let servers = Servers {
            present: Arc::new(server(&limits, hooks)),
            limits,
        };
        Self {
            edge,
            core,
            live,
            servers: Mutex::new(servers),
            finish,
            finishing,
        }
    }

    /// Serves a connection until it ends.
    pub(crate) async fn serve(&self, stream: Stream) {
        // Pingora hands a connection back only to servers that keep a pool of them.
        drop(self.server().process_new(stream, &self.finishing).await);
    }

    /// From now on nothing is kept alive: each connection ends with its next response. Pingora would close those that
    /// wait for a request at once, which may be on its way; they are left to [`crate::front::io`].
    pub(crate) fn finish(&self) {
        self.finish.send_replace(true);
    }

    /// The server for connections that come now.
    fn server(&self) -> Arc<HttpProxy<Proxy>> {
        let limits = self.edge.limits();
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&servers.limits, &limits) {
            let (edge, live) = (self.edge.clone(), self.live.clone());
            let hooks = Proxy::new(edge, self.core, live, self.finishing.clone());
            servers.present = Arc::new(server(&limits, hooks));
            servers.limits = Arc::clone(&limits);
        }
        Arc::clone(&servers.present)
    }
}

/// More tries than this no request gets, whatever they failed for. Pingora counts the reused streams that broke, too.
const TRIES: usize = 100;

fn server(limits: &Limits, hooks: Proxy) -> HttpProxy<Proxy> {
    let conf = Arc::new(ServerConf {
        threads: 1,
        max_retries: TRIES,
        ..ServerConf::default()
    });
    let mut server = pingora_proxy::http_proxy(&conf, hooks);
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(limits.idle_timeout.0);
    server.server_options = Some(options);
    let mut http2 = default_h2_options();
    http2.max_header_list_size(u32::try_from(limits.header_size.bytes()).unwrap_or(u32::MAX));
    http2.max_concurrent_streams(limits.http2_streams);
    server.h2_options = Some(http2);
    server
}
