//! One core: a thread with a runtime of its own, its listeners, and all that arrives on them.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    edge::Edge,
    fetch,
    front::{
        accept::{self, Kind},
        hello::{self, Arrival},
        io::PublicIo,
        open::Open,
    },
    http::Serving,
    keys,
    live::Live,
    sockets::opened::Socket,
    tcp,
};

/// How long lanes may take to say goodbye after everything else has ended.
const GOODBYE: Duration = Duration::from_secs(3);

/// One core.
pub(crate) struct Core {
    index: usize,
    pub(crate) edge: Arc<Edge>,
    serving: Serving,
    live: Arc<Live>,
    /// Its clients' connections.
    open: Open,
    begin: CancellationToken,
    stop: CancellationToken,
    accepting: TaskTracker,
    served: TaskTracker,
    agents: TaskTracker,
}

/// What a core's thread needs to begin.
pub(crate) struct Start {
    pub(crate) index: usize,
    pub(crate) edge: Arc<Edge>,
    pub(crate) listeners: Vec<(Socket, Kind)>,
    pub(crate) arrivals: mpsc::UnboundedReceiver<Arriving>,
    /// Cancelled: accept.
    pub(crate) begin: CancellationToken,
    /// Cancelled: accept no more, finish what runs.
    pub(crate) stop: CancellationToken,
    /// Cancelled: end everything now.
    pub(crate) abort: CancellationToken,
    /// Cancelled by each core when all its exchanges have ended.
    pub(crate) idle: CancellationToken,
}

/// What comes to a core from elsewhere than its listeners.
pub(crate) enum Arriving {
    /// An agent's connection, from the core that accepted it: each lane has a core.
    Agent(Box<Arrival>),
    /// A policy's connection.
    Policy(Box<fetch::Asked>),
    /// The port of a tcp endpoint.
    Port(Box<tcp::Listening>),
    /// What runs may have lost its permission.
    Review,
}

/// Runs a core on the calling thread until it has been stopped and is done.
pub(crate) fn run(start: Start) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(start))?;
    runtime.shutdown_background();
    Ok(())
}

async fn serve(start: Start) -> io::Result<()> {
    let Start {
        index,
        edge,
        listeners,
        arrivals,
        begin,
        stop,
        abort,
        idle,
    } = start;
    let live = Arc::<Live>::default();
    let core = Arc::new(Core {
        index,
        serving: Serving::new(Arc::clone(&edge), index, Arc::clone(&live)),
        live,
        edge,
        open: Open::default(),
        begin,
        stop: stop.clone(),
        accepting: TaskTracker::new(),
        served: TaskTracker::new(),
        agents: TaskTracker::new(),
    });
    for (socket, kind) in listeners {
        let listener = core.edge.listening.begin(socket, kind.role())?;
        core.accepting
            .spawn(accept::accept(Arc::clone(&core), listener, kind));
    }
    tokio::spawn(take_arrivals(Arc::clone(&core), arrivals));
    if index == 0 {
        tokio::spawn(keys::keep(Arc::clone(&core.edge)));
    }
    tokio::spawn(Arc::clone(&core.live).watch(Arc::clone(&core.edge)));
    stop.cancelled().await;
    core.serving.finish();
    core.open.leave();
    // A connection that is accepted at the last moment is waited for like all others.
    core.accepting.close();
    core.accepting.wait().await;
    core.served.close();
    tokio::select! {
        () = core.served.wait() => {}
        () = abort.cancelled() => {}
    }
    idle.cancel();
    abort.cancelled().await;
    core.agents.close();
    drop(timeout(GOODBYE, core.agents.wait()).await);
    Ok(())
}

async fn take_arrivals(core: Arc<Core>, mut arrivals: mpsc::UnboundedReceiver<Arriving>) {
    while let Some(arriving) = arrivals.recv().await {
        let own = Arc::clone(&core);
        match arriving {
            Arriving::Agent(arrival) => core.spawn_agent(hello::serve_agent(own, *arrival)),
            Arriving::Policy(asked) => core.serve(fetch::serve(own, *asked)),
            Arriving::Port(listening) => drop(core.accepting.spawn(tcp::accept(own, *listening))),
            Arriving::Review => core.live.review(&core.edge),
        }
    }
}

// === impl Core ===

impl Core {
    /// Serves HTTP on a connection until it ends.
    pub(crate) async fn http<T>(self: &Arc<Self>, io: PublicIo<T>)
    where
        PublicIo<T>: pingora_core::protocols::IO,
        T: 'static,
    {
        let ending = io.ending();
        let _open = self.open.enter(ending.clone());
        ending.unless_torn(self.serving.serve(Box::new(io))).await;
    }

    /// Runs a client's connection; the core waits for it when it is stopped.
    pub(crate) fn serve(&self, connection: impl Future<Output = ()> + Send + 'static) {
        self.served.spawn(connection);
    }

    /// Runs part of an agent's session; it ends when its session does.
    pub(crate) fn spawn_agent(&self, part: impl Future<Output = ()> + Send + 'static) {
        self.agents.spawn(part);
    }

    /// Its number, from 0.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// What runs here and can be ended.
    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Waits until connections may be accepted. `false`: they never will be.
    pub(crate) async fn may_accept(&self) -> bool {
        tokio::select! {
            biased;
            () = self.begin.cancelled() => true,
            () = self.stop.cancelled() => false,
        }
    }

    /// Waits until no more connections are to be accepted.
    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }
}
