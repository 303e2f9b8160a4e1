//! What benches measure of the inside of this crate. It is no part of its interface.

use std::{sync::Arc, time::Duration};

use adit_policy::endpoint_url::{BadEndpointUrl, EndpointUrl, Scheme};
use adit_wire::message::Token;
use tokio::sync::mpsc;

use crate::{
    config::{Balance, Pool},
    pools::{
        endpoints::{Declared, Endpoints},
        flight::Flight,
        member::{Member, MemberSpec, Place},
        pool::Ask,
        session::{Session, Terms},
    },
};

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

/// A pool as requests use it.
#[derive(Debug)]
pub struct Members(Arc<crate::pools::pool::Pool>);

impl Members {
    /// A pool of so many members, of weights from 1 to 7.
    ///
    /// # Errors
    /// Never: the URL is one.
    pub fn new(balance: Balance, count: u64) -> Result<Self, BadEndpointUrl> {
        let url = EndpointUrl::parse("https://app.example.com")?;
        let settings = Pool {
            balance,
            ..Pool::default()
        };
        let endpoint = Declared {
            pool: settings,
            ..declared(url.clone())
        };
        let endpoints = Endpoints::declare(vec![endpoint], 1);
        for id in 0..count {
            // A declared URL is shared by whoever binds it.
            drop(endpoints.bind(&url, &member(id), Duration::MAX));
        }
        let routes = endpoints.snapshot();
        let pool = routes.at(&url).map(|endpoint| Arc::clone(&endpoint.pool));
        Ok(Self(pool.unwrap_or_else(|| {
            Arc::new(crate::pools::pool::Pool::new(Pool::default(), 1))
        })))
    }

    /// What a request costs: a member is chosen, is busy with it, and is done. `key`: of the text that decides with
    /// [`Balance::Hash`].
    #[must_use]
    pub fn serve_one(&self, key: u64) -> bool {
        let ask = Ask {
            key: Some(key),
            ..Ask::default()
        };
        self.0
            .choose(&ask)
            .map(|chosen| Flight::of(&chosen.member))
            .is_some()
    }
}

fn member(id: u64) -> Arc<Member> {
    let terms = Terms {
        owner: format!("agent-{id}"),
        agent_id: format!("agent-{id}"),
        epoch: 1,
        join_key: Token::new(""),
        lane_count: 1,
        version: 1,
        dial_timeout: Duration::from_secs(1),
    };
    let session = Arc::new(Session::new(terms, mpsc::channel(1).0));
    let place = Place {
        weight: u32::try_from(id % 7).unwrap_or_default() + 1,
        ..Place::default()
    };
    let about = (MemberSpec::default(), place, None);
    Arc::new(Member::new(id, session, about, 1))
}

fn declared(url: EndpointUrl) -> Declared {
    Declared {
        url,
        policy: None,
        normalize_paths: false,
        pool: Pool::default(),
    }
}
