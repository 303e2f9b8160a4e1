//! What must not delay an exchange: tasks in the background, and computations that take long.

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;

/// Runs what an exchange does not wait for, and what would hold others up.
#[async_trait]
pub trait Work: fmt::Debug + Send + Sync {
    /// Runs a task to its end, while exchanges go on.
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);

    /// Runs a computation of milliseconds where it holds nobody up, and waits for it.
    async fn compute(&self, job: Box<dyn FnOnce() + Send>);
}

/// Drops tasks, and computes at once: where there is one exchange and no other.
#[derive(Clone, Copy, Debug)]
pub struct NoWork;

#[async_trait]
impl Work for NoWork {
    fn spawn(&self, _: Pin<Box<dyn Future<Output = ()> + Send>>) {}

    async fn compute(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}
