//! One lane of a session: its streams are accepted, and beyond lane 0 it is joined again when lost.

use std::sync::Arc;

use adit_wire::{
    Incoming, Lane, LaneError, Nothing, OpenError, Pulse, Side, control,
    limits::STREAMS_PER_LANE,
    message::{Answer, Greeting, Heartbeat, Join},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::{JoinHandle, yield_now},
    time::{Instant, sleep},
};
use tracing::{debug, info, warn};

use crate::{
    Stream,
    backoff::{Backoff, LIVED},
    event::Events,
    forward::forward,
    gateway::{Gateway, Unconnected, out_of_turn},
    routes::Routes,
    stream::Running,
};

/// What all lanes of a session share.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    pub(crate) routes: watch::Receiver<Routes>,
    pub(crate) running: Running,
    pub(crate) events: Events,
}

/// A lane that stands: its streams are being served.
pub(crate) struct Standing {
    pub(crate) lane: Lane,
    pub(crate) control: adit_wire::Stream,
    pub(crate) driving: JoinHandle<Result<(), LaneError>>,
}

/// Makes a lane of a connection that was welcomed.
pub(crate) async fn stand<IO>(io: IO, serving: Serving) -> Result<Standing, OpenError>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (lane, incoming, driver) = adit_wire::lane(io, Side::Agent);
    let driving = tokio::spawn(driver);
    // The agent's first and only stream: the gateway expects its messages on it.
    let control = lane.open().await?;
    tokio::spawn(accept(incoming, serving));
    Ok(Standing {
        lane,
        control,
        driving,
    })
}

async fn accept(mut incoming: Incoming, serving: Serving) {
    let places = Arc::new(Semaphore::new(STREAMS_PER_LANE));
    while let Some(stream) = incoming.accept().await {
        let Some(place) = place(&places).await else {
            warn!(
                "the gateway opened more than {STREAMS_PER_LANE} streams on a lane; one is reset"
            );
            continue;
        };
        let stream = Stream::new(stream, serving.running.begin(place));
        tokio::spawn(forward(
            stream,
            serving.routes.clone(),
            serving.events.clone(),
        ));
    }
}

/// A place for one more stream. Streams that the gateway just dropped still hold theirs until
/// their tasks have run, so those get a turn first.
async fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    yield_now().await;
    Arc::clone(places).try_acquire_owned().ok()
}

/// Lane 1 or above of a session.
#[derive(Debug)]
pub(crate) struct SideLane {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) join: Join,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) backoff: Backoff,
    pub(crate) serving: Serving,
}

// === impl SideLane ===

impl SideLane {
    /// Keeps the lane joined for as long as lane 0 lives.
    pub(crate) async fn keep(mut self, lane_0: Lane) {
        tokio::select! {
            () = self.join_for_ever() => {}
            () = lane_0.closed() => {}
        }
    }

    async fn join_for_ever(&mut self) {
        let number = self.join.lane;
        loop {
            let begun = Instant::now();
            match self.hold().await {
                Ok(()) => debug!(lane = number, "lane lost"),
                Err(Unconnected::Refused(refused)) if !refused.retryable => {
                    warn!(lane = number, %refused, "the gateway does not want this lane");
                    return;
                }
                Err(error) => info!(lane = number, %error, "lane not joined"),
            }
            if begun.elapsed() >= LIVED {
                self.backoff.reset();
            }
            sleep(self.backoff.next()).await;
        }
    }

    async fn hold(&self) -> Result<(), Unconnected> {
        let greeting = Greeting::Join(self.join.clone());
        let (io, answer) = self.gateway.greet(self.join.lane, &greeting).await?;
        let Answer::Joined = answer else {
            return Err(out_of_turn());
        };
        let Ok(standing) = stand(io, self.serving.clone()).await else {
            return Ok(());
        };
        let lane = CloseOnDrop(standing.lane);
        // Only the heartbeat speaks here: messages have their order on lane 0.
        let (_silence, nothing_to_say) = mpsc::channel::<Nothing>(1);
        let (heard, _hear_nothing) = mpsc::channel::<Nothing>(1);
        let pulse = Pulse::new();
        let end = control(
            standing.control,
            self.heartbeat,
            &pulse,
            nothing_to_say,
            heard,
        )
        .await;
        debug!(lane = self.join.lane, %end, "heartbeat ended");
        drop(lane);
        Ok(())
    }
}

struct CloseOnDrop(Lane);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a47_b_a_stream_beyond_the_limit_has_no_place_until_one_ends() {
        let places = Arc::new(Semaphore::new(1));
        let first = place(&places).await.unwrap();
        assert!(place(&places).await.is_none());
        // One that ends in the same turn counts as ended.
        tokio::spawn(async move { drop(first) });
        assert!(place(&places).await.is_some());
    }
}
