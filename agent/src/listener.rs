//! An endpoint whose streams the program takes itself.

use tokio::sync::mpsc;

use crate::{End, PoolPlace, Stream, UpdateError, bindings::PlaceChange, endpoint::Endpoint};

/// Yields the streams of one endpoint. Dropping it gives the URL back.
///
/// A session that is lost does not end it: the agent asks for the same URL again.
#[derive(Debug)]
pub struct Listener {
    pub(crate) endpoint: Endpoint,
    pub(crate) streams: mpsc::Receiver<Stream>,
}

// === impl Listener ===

impl Listener {
    /// The next stream, or `None` once the endpoint is over.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.streams.recv().await
    }

    /// Where the endpoint can be reached.
    #[must_use]
    pub fn url(&self) -> String {
        self.endpoint.url()
    }

    /// The endpoint's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.endpoint.name
    }

    /// Names the endpoint inside this agent.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.endpoint.key
    }

    /// Puts another traffic policy, as YAML or JSON text, in the place of the one there is; a blank one takes it away.
    ///
    /// Exchanges that run keep the policy they began with, and no connection ends. Without a session it waits for the
    /// next one. Giving up waiting does not take the wish back.
    ///
    /// # Errors
    /// When the gateway refuses the policy; then the old one stays, over reconnects, too. Also when a newer call takes
    /// the place of this one, or the endpoint ends.
    pub async fn update_policy(&self, text: impl Into<String>) -> Result<(), UpdateError> {
        self.endpoint.update_policy(text.into()).await
    }

    /// Gives the endpoint another share of its pool's traffic, from the next request on; 0 takes no new traffic.
    ///
    /// Streams that run are not touched. Without a session it is what the next one begins with.
    ///
    /// # Errors
    /// When the gateway is of a version that cannot change it, and so does when the agent connects anew; or the endpoint
    /// has ended.
    pub async fn set_weight(&self, weight: u32) -> Result<(), UpdateError> {
        self.endpoint.set_place(PlaceChange::Weight(weight)).await
    }

    /// The same with weight, tier and metadata.
    ///
    /// # Errors
    /// As [`Self::set_weight`], or when the metadata is too long.
    pub async fn set_place(&self, place: PoolPlace) -> Result<(), UpdateError> {
        self.endpoint.set_place(PlaceChange::Whole(place)).await
    }

    /// Gives the URL back. Streams that run may finish.
    pub async fn close(&self) {
        self.endpoint.close().await;
    }

    /// Waits for the end of the endpoint.
    pub async fn done(&self) -> End {
        self.endpoint.done().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.endpoint.close_soon();
    }
}
