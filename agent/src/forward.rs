//! What becomes of one data stream: it is answered, its endpoint's service dialled, and both joined.

use std::{io, time::Duration};

use adit_wire::{
    FrameError, frame,
    limits::OPEN_FRAME,
    message::{DialError, DialErrorKind, OpenRequest, OpenResult, Protocol},
    splice,
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tracing::debug;

use crate::{
    Event, Stream,
    dial::{Dialer, Local},
    event::Events,
    routes::{self, Route, Routes, Target},
};

/// How long a stream may take to say what it is for.
const OPEN_DEADLINE: Duration = Duration::from_secs(10);

/// How long a stream waits for a program that is slow to accept.
const HAND_DEADLINE: Duration = Duration::from_secs(10);

/// Serves one stream to its end. Whatever ends it early drops it, which resets it.
pub(crate) async fn forward(stream: Stream, routes: watch::Receiver<Routes>, events: Events) {
    if let Err(error) = serve(stream, routes, events).await {
        debug!(%error, "stream ended early");
    }
}

async fn serve(
    mut stream: Stream,
    mut routes: watch::Receiver<Routes>,
    events: Events,
) -> Result<(), FrameError> {
    let request = frame::read::<OpenRequest, _>(&mut stream, OPEN_FRAME);
    let request = timeout(OPEN_DEADLINE, request)
        .await
        .map_err(|_| silent())??;
    frame::write(&mut stream, &OpenResult::Dialing, OPEN_FRAME).await?;
    let route = match routes::find(&mut routes, request.endpoint).await {
        Ok(route) => route,
        Err(error) => return fail(stream, error).await,
    };
    // A session that is over must not be held by the streams that outlive it.
    drop(routes);
    match &route.target {
        Target::Dial(dialer) => join(stream, &route, dialer, request.protocol, &events).await,
        Target::Hand(listener) => hand(stream, listener).await,
    }
}

async fn join(
    mut stream: Stream,
    route: &Route,
    dialer: &Dialer,
    protocol: Protocol,
    events: &Events,
) -> Result<(), FrameError> {
    let dialled = tokio::select! {
        dialled = dialer.dial(protocol) => dialled,
        () = stream.gone() => return Ok(()),
    };
    let (name, upstream) = (route.name.clone(), dialer.shown.clone());
    let mut local = match dialled {
        Ok(local) => local,
        Err(error) => {
            events.tell(Event::DialFailed {
                name,
                upstream,
                error: error.clone(),
            });
            return fail(stream, error).await;
        }
    };
    events.tell(Event::Dialed { name, upstream });
    let copied = copy(&mut stream, &mut local).await;
    if copied.is_err() {
        local.reset_on_close();
    }
    copied
}

async fn copy(stream: &mut Stream, local: &mut Local) -> Result<(), FrameError> {
    frame::write(stream, &OpenResult::Open, OPEN_FRAME).await?;
    Ok(splice(stream, local).await?)
}

async fn hand(mut stream: Stream, listener: &mpsc::Sender<Stream>) -> Result<(), FrameError> {
    let reserved = tokio::select! {
        reserved = timeout(HAND_DEADLINE, listener.reserve()) => reserved,
        () = stream.gone() => return Ok(()),
    };
    let (kind, detail) = match reserved {
        Ok(Ok(place)) => {
            frame::write(&mut stream, &OpenResult::Open, OPEN_FRAME).await?;
            place.send(stream);
            return Ok(());
        }
        Ok(Err(_)) => (DialErrorKind::UnknownEndpoint, "the listener was closed"),
        Err(_) => (
            DialErrorKind::Timeout,
            "the program does not accept streams",
        ),
    };
    fail(
        stream,
        DialError {
            kind,
            upstream: String::new(),
            detail: detail.into(),
        },
    )
    .await
}

/// Says why and drops the stream: what was written before a reset still arrives.
async fn fail(mut stream: Stream, error: DialError) -> Result<(), FrameError> {
    frame::write(&mut stream, &OpenResult::Failed(error), OPEN_FRAME).await
}

fn silent() -> FrameError {
    let error = io::Error::new(
        io::ErrorKind::TimedOut,
        "the stream did not say what it is for",
    );
    FrameError::Io(error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use adit_wire::{Side, lane};
    use tokio::{io::AsyncReadExt, sync::Semaphore, time::Instant};

    use super::*;
    use crate::stream::Running;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_does_not_say_what_it_is_for_is_dropped() {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (gateway, _, drive) = lane(near, Side::Gateway);
        tokio::spawn(drive);
        let (_agent, mut incoming, drive) = lane(far, Side::Agent);
        tokio::spawn(drive);
        let mut silent = gateway.open().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut silent, &[0])
            .await
            .unwrap();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let running = Running::default();
        let stream = Stream::new(incoming.accept().await.unwrap(), running.begin(place));
        let began = Instant::now();
        tokio::spawn(forward(
            stream,
            watch::Sender::default().subscribe(),
            Events::new(),
        ));
        assert!(silent.read(&mut [0]).await.is_err());
        assert_eq!(began.elapsed().as_secs(), OPEN_DEADLINE.as_secs());
        running.none().await;
    }
}
