//! An app behind a company's login: a provider, a gateway whose policy asks it, an agent, and a service that says what it
//! was sent.
//!
//! ```ignore
//! let company = Company::start().await;
//! let mut alice = company.sign_in().await;                 // a browser with a session
//! let page = alice.get("https://app.localhost/orders").await;
//! ```

use serde_json::{Value, json};

use super::{Agent, Browser, CLIENT_SECRET, Gateway, OidcProvider, Page, Service};

/// The app as browsers know it.
pub(crate) const APP: &str = "https://app.localhost";

pub(crate) struct Company {
    pub(crate) provider: OidcProvider,
    pub(crate) gateway: Gateway,
    pub(crate) service: Service,
    pub(crate) agent: Agent,
}

/// What differs from company to company.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Settings of the provider; see `provider.mjs`.
    pub(crate) provider: Value,
    /// More fields for the config of `openid-connect`: `, max_session_duration: 10m`.
    pub(crate) login: &'static str,
    /// More actions behind it, in the same rule: `, { type: … }`.
    pub(crate) actions: &'static str,
    /// More lines for `gateway.yaml`, before its endpoints.
    pub(crate) gateway: String,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            provider: json!({}),
            login: "",
            actions: "",
            gateway: String::new(),
        }
    }
}

impl Company {
    /// One whose provider signs alice in without asking.
    pub(crate) async fn start() -> Self {
        Self::with(Wanted::default()).await
    }

    /// One whose provider asks people who they are.
    pub(crate) async fn interactive() -> Self {
        Self::with(Wanted {
            provider: json!({ "interactive": true }),
            ..Wanted::default()
        })
        .await
    }

    pub(crate) async fn with(wanted: Wanted) -> Self {
        let service = Service::echo().await;
        let provider = OidcProvider::start(wanted.provider.clone()).await;
        let gateway = Gateway::with(&yaml(&provider, &wanted)).await;
        provider.register(&gateway, "edge", APP).await;
        let agent = Agent::forward(&gateway, APP, service.addr()).await;
        Self {
            provider,
            gateway,
            service,
            agent,
        }
    }

    /// A person's browser, that nobody knows yet.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.gateway)
    }

    /// A browser in which alice has signed in. The provider must not be an interactive one.
    pub(crate) async fn sign_in(&self) -> Browser {
        let mut browser = self.browser();
        let page = browser.open(&format!("{APP}/")).await;
        assert_eq!(page.status, 200, "{page:?}");
        browser
    }

    /// Where a browser is on its way to the provider: the redirect that sends it there.
    pub(crate) async fn begin(&self, browser: &mut Browser, path: &str) -> Page {
        let page = browser.get(&format!("{APP}{path}")).await;
        let to = page.location().unwrap_or_else(|| panic!("{page:?}"));
        assert!(to.starts_with(self.provider.issuer()), "{to}");
        page
    }

    /// A whole URL of the app, with the gateway's port.
    pub(crate) fn url(&self, path: &str) -> String {
        self.gateway.url(&format!("{APP}{path}"))
    }
}

/// Whether a URL is the one at which a login takes people back.
pub(crate) fn is_callback(url: &str) -> bool {
    url.contains("/adit/oauth2/callback?")
}

fn yaml(provider: &OidcProvider, wanted: &Wanted) -> String {
    let Wanted {
        login,
        actions,
        gateway,
        ..
    } = wanted;
    let issuer = provider.issuer();
    format!(
        "{}{gateway}endpoints:\n  - url: {APP}\n    traffic_policy:\n      on_http_request:\n        - actions: [{{ type: \
         openid-connect, config: {{ issuer_url: '{issuer}', client_id: edge, client_secret: '{CLIENT_SECRET}'{login} }} \
         }}{actions}]\n",
        provider.allowed()
    )
}
