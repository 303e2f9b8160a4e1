//! What benches measure of the inside of this crate. It is no part of its interface.

use std::sync::Arc;

use adit_policy::endpoint_url::{BadEndpointUrl, EndpointUrl, Scheme};

use crate::pools::endpoints::{Declared, Endpoints};

/// The table of endpoints as requests and binds use it.
#[derive(Debug)]
pub struct Routes(Endpoints);

impl Routes {
    /// One with these URLs.
    ///
    /// # Errors
    /// When one is no URL.
    pub fn of(urls: impl IntoIterator<Item = String>) -> Result<Self, BadEndpointUrl> {
        let urls = urls.into_iter().map(|url| EndpointUrl::parse(&url));
        let declared = urls.map(|url| url.map(declared));
        let declared = declared.collect::<Result<_, _>>()?;
        Ok(Self(Endpoints::declare(declared, 1)))
    }

    /// Whether a request for an https host finds its endpoint: one look at the table of the moment.
    #[must_use]
    pub fn finds(&self, host: &str) -> bool {
        let routes = self.0.snapshot();
        routes.find(Scheme::Https, host).map(Arc::clone).is_some()
    }

    /// What a change of one endpoint costs, beside what it is about: a bind of a URL that was not known, or a reload.
    pub fn put(&self, url: &EndpointUrl) {
        drop(self.0.redeclare(vec![declared(url.clone())], &[]));
    }
}

fn declared(url: EndpointUrl) -> Declared {
    Declared {
        url,
        policy: None,
        normalize_paths: false,
        pool: crate::config::Pool::default(),
    }
}
