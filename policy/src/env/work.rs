//! What must not delay an exchange: tasks in the background, and computations that take long.

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use thiserror::Error;

/// Runs what an exchange does not wait for, and what would hold others up.
#[async_trait]
pub trait Work: fmt::Debug + Send + Sync {
    /// Runs a task to its end, while exchanges go on. It may be dropped where nothing runs tasks, and when the process
    /// stops: what it was to learn must be asked for again by whoever needs it.
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);

    /// Runs a computation of milliseconds where it holds nobody up, and waits for it. What waits is bounded.
    ///
    /// # Errors
    /// When too many wait already: the job was not run, and what it was to find out is not known. An action that
    /// authenticates refuses then.
    async fn compute(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), Busy>;
}

/// A computation was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many computations wait already")]
pub struct Busy;

/// Drops tasks, and computes at once: where there is one exchange and no other.
#[derive(Clone, Copy, Debug)]
pub struct NoWork;

#[async_trait]
impl Work for NoWork {
    fn spawn(&self, _: Pin<Box<dyn Future<Output = ()> + Send>>) {}

    async fn compute(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), Busy> {
        job();
        Ok(())
    }
}
