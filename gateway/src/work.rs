//! What policies do beside the exchanges: tasks on the runtime of the core that begins them, and long computations on
//! threads of their own.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use adit_policy::env::{Busy, Work};
use async_trait::async_trait;
use tokio::{runtime::Handle, sync::Semaphore, task::spawn_blocking};
use tracing::warn;

/// So many computations may wait for each one that runs; one more is turned away. At 50 ms each, the last one waits for
/// some three seconds.
const WAITING_PER_THREAD: usize = 64;

/// Runs tasks and computations of all policies of a gateway.
#[derive(Debug)]
pub(crate) struct Workers {
    /// A permit for each computation that may run at the same time.
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// One that waits, until it is dropped.
struct Place<'a>(&'a AtomicUsize);

// === impl Workers ===

impl Workers {
    /// As many computations at the same time as there are cores: exchanges and they share the machine.
    pub(crate) fn new() -> Self {
        Self::of(std::thread::available_parallelism().map_or(1, usize::from))
    }

    fn of(threads: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(threads)),
            waiting: AtomicUsize::new(0),
            waiting_max: threads * WAITING_PER_THREAD,
        }
    }

    fn place(&self) -> Option<Place<'_>> {
        let place = Place(&self.waiting);
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        (before < self.waiting_max).then_some(place)
    }
}

#[async_trait]
impl Work for Workers {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(task)),
            Err(_) => warn!("a policy's task was begun where nothing runs tasks, and is dropped"),
        }
    }

    async fn compute(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), Busy> {
        let place = self.place().ok_or(Busy)?;
        let permit = Arc::clone(&self.running).acquire_owned().await;
        let permit = permit.map_err(|_| Busy)?;
        drop(place);
        // The job keeps its permit though nobody may wait for it any more: it takes a core's time all the same.
        let ran = spawn_blocking(move || {
            job();
            drop(permit);
        });
        ran.await.map_err(|_| Busy)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_task_runs_while_others_go_on() {
        let (done, ran) = oneshot::channel();
        let workers = Workers::of(1);
        workers.spawn(Box::pin(async { done.send(7).unwrap() }));
        assert_eq!(ran.await, Ok(7));
    }

    #[test]
    fn a_task_without_a_runtime_is_dropped() {
        let (done, mut ran) = oneshot::channel::<()>();
        Workers::of(1).spawn(Box::pin(async { done.send(()).unwrap() }));
        assert_eq!(ran.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }

    #[tokio::test]
    async fn computations_run_elsewhere_and_only_so_many_wait() {
        let workers = Arc::new(Workers::of(1));
        let (go, stop) = mpsc::channel::<()>();
        let (began, begun) = oneshot::channel();
        let own = Arc::clone(&workers);
        let first = tokio::spawn(async move {
            let job = move || {
                began.send(()).unwrap();
                stop.recv().unwrap();
            };
            own.compute(Box::new(job)).await
        });
        begun.await.unwrap();
        let places: Vec<_> = (0..WAITING_PER_THREAD).map(|_| workers.place()).collect();
        assert!(places.iter().all(Option::is_some));
        assert_eq!(workers.compute(Box::new(|| {})).await, Err(Busy));
        drop(places);
        go.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(workers.compute(Box::new(|| {})).await, Ok(()));
    }

    #[tokio::test]
    async fn whoever_goes_away_leaves_the_queue() {
        let workers = Workers::of(1);
        let held = Arc::clone(&workers.running).acquire_owned().await.unwrap();
        let mut waits = workers.compute(Box::new(|| {}));
        assert!(futures_util::poll!(&mut waits).is_pending());
        assert_eq!(workers.waiting.load(Ordering::Relaxed), 1);
        drop(waits);
        assert_eq!(workers.waiting.load(Ordering::Relaxed), 0);
        drop(held);
    }

    #[tokio::test]
    async fn a_computation_that_panics_was_not_made() {
        let workers = Workers::of(1);
        assert_eq!(
            workers.compute(Box::new(|| panic!("meant"))).await,
            Err(Busy)
        );
        assert_eq!(workers.compute(Box::new(|| {})).await, Ok(()));
    }
}
