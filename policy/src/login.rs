//! People who sign in at a provider: the flow, its cookies, and the session that comes of it.
//!
//! [`Login`] is an action: `openid-connect` and `oauth` are one each, with the provider that they name. A request with a
//! session passes without waiting for anything; the others are [`Wanted`] elsewhere.
//!
//! | module | what it holds |
//! |---|---|
//! | [`provider`] | what a provider is asked, whatever protocol it speaks |
//! | [`settings`] | what the config of every login action may say |
//! | `begin`, `callback` | to the provider, and back |
//! | `attempt`, `return_to` | what the browser keeps meanwhile, and where it was going |
//! | `session`, `carrier`, `cookies`, `binding` | who has signed in; how that travels, and why it opens nowhere else |
//! | `refresh` | the provider is asked again, once for all requests of a session |
//! | `sign_out` | the end: by the person, by the provider |
//! | `admit`, `email` | what the following actions are told of the caller |
//! | `caller`, `paths`, `pages` | who asks, where, and what they are told |
//! | [`oidc`] | a provider that speaks OpenID Connect |
//! | [`oauth`] | a provider that speaks OAuth 2.0: those that are known here, and any other |
//! | [`code_flow`] | authorization URLs, and tokens for codes |
//! | [`web`] | how providers are asked over HTTP |

mod admit;
mod attempt;
mod begin;
mod binding;
mod callback;
mod caller;
mod carrier;
mod code_flow;
mod cookies;
mod email;
pub(crate) mod oauth;
pub(crate) mod oidc;
mod pages;
mod paths;
mod person;
pub(crate) mod provider;
mod refresh;
mod return_to;
mod session;
pub(crate) mod settings;
mod sign_out;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod token_answer;
mod web;

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::{SET_COOKIE, WWW_AUTHENTICATE};

use self::admit::{Came, Kind};
use self::binding::Binding;
use self::carrier::{Carrier, Found};
use self::cookies::Names;
use self::pages::Trouble;
use self::paths::Home;
use self::provider::{Client, Provider};
use self::refresh::Flights;
use self::return_to::ReturnTo;
use self::session::{Over, Session};
use self::settings::Settings;
use crate::action::{Action, Fault, Flow, Phase, Refusal, Shadow};
use crate::endpoint_url::Scheme;
use crate::env::Env;
use crate::exchange::Exchange;
use crate::identity::Identity;

/// Paths at which a login answers although its rule's expressions do not hold.
pub(crate) fn own_paths() -> Vec<String> {
    paths::ALL.map(str::to_owned).to_vec()
}

/// At which of them it reads the request's body.
pub(crate) const READS_BODY_AT: &[&str] = &[paths::BACKCHANNEL];

/// One login of a policy: lets in who has signed in at its provider, and sends the others there.
#[derive(Debug)]
pub(crate) struct Login {
    kind: Kind,
    settings: Arc<Settings>,
    provider: Arc<dyn Provider>,
    /// The provider's name.
    issuer: Arc<str>,
    names: Arc<Names>,
    /// What cookies are tied to, if it is the same for every exchange.
    fixed: Option<Binding>,
    /// [`Settings::version`].
    version: u32,
    /// What programs are told to do.
    challenge: HeaderValue,
    flights: Arc<Flights>,
}

/// What a request is about.
enum Wanted {
    /// Nothing that concerns this login.
    Nothing,
    /// The service; this is who asks.
    Service(Box<Session>),
    /// The same, and the provider is to be asked whether they still may.
    Refresh(Box<Session>),
    /// To sign in.
    SignIn {
        return_to: ReturnTo,
        /// Even if the provider knows the person.
        again: bool,
    },
    /// To come back from the provider.
    Callback,
    /// To sign out.
    SignOut,
    /// The provider tells of sessions that are over.
    News,
    /// Something that it does not get.
    Refused(Box<Refusal>),
}

// === impl Login ===

impl Login {
    /// A login that names itself `oidc` in results and identities; who says nothing of an address vouches for it.
    pub(crate) fn openid_connect(
        settings: Settings,
        provider: Arc<dyn Provider>,
        env: &Env,
    ) -> Self {
        Self::new(Kind::OpenIdConnect, settings, provider, env)
    }

    /// A login that names itself `oauth`.
    pub(crate) fn oauth(settings: Settings, provider: Arc<dyn Provider>, env: &Env) -> Self {
        Self::new(Kind::OAuth, settings, provider, env)
    }

    fn new(kind: Kind, settings: Settings, provider: Arc<dyn Provider>, env: &Env) -> Self {
        let names = Names::of(&settings.auth_id, settings.cookie_domain.as_ref());
        let challenge = format!(
            "Cookie realm=\"adit\", form-action=\"{}\", cookie-name=\"{}\"",
            paths::LOGIN,
            names.session
        );
        let fixed = settings.fixed_client();
        Self {
            fixed: fixed.map(|client| {
                Binding::of(kind.name(), provider.name(), &client, &settings.auth_id)
            }),
            kind,
            version: settings.version(),
            issuer: provider.name().into(),
            provider,
            names: Arc::new(names),
            challenge: HeaderValue::try_from(challenge)
                .unwrap_or_else(|_| HeaderValue::from_static("Cookie")),
            flights: env.common_state("flights of logins", Flights::default),
            settings: Arc::new(settings),
        }
    }

    /// What a request is about. It changes nothing, so that it can be asked again when it has been waited for.
    fn wanted(&self, exchange: &Exchange<'_>) -> Result<Wanted, Fault> {
        let request = exchange.request()?;
        if self.settings.allow_cors_preflight && caller::is_preflight(request) {
            return Ok(Wanted::Nothing);
        }
        let home = Home::of(request);
        if home.is_some_and(|home| !self.is_meant(home, exchange))
            && exchange.memory.is_only_at_home()
        {
            return Ok(Wanted::Nothing);
        }
        if request.scheme != Scheme::Https {
            return Ok(Wanted::Refused(Box::new(Trouble::Cleartext.refusal(None))));
        }
        match home.filter(|home| self.is_meant(*home, exchange)) {
            Some(Home::Callback) => return Ok(Wanted::Callback),
            Some(Home::Login) if caller::is_navigation(request) => {
                let to = paths::parameter(request, "redirect_path").unwrap_or_default();
                return Ok(Wanted::SignIn {
                    return_to: ReturnTo::read(&to),
                    again: true,
                });
            }
            Some(Home::Logout) => return Ok(Wanted::SignOut),
            Some(Home::Backchannel) => return Ok(Wanted::News),
            Some(Home::Login) | None => {}
        }
        let carrier = self.carrier(exchange)?;
        let lines = request.head.lines();
        let now = exchange.env.clock().now();
        let why = match carrier.find(lines) {
            Found::Session(session) => match session.over(&self.settings, exchange.env) {
                None if caller::is_foreign_websocket(request) => {
                    return Ok(Wanted::Refused(Box::new(
                        Trouble::ForeignOrigin.refusal(None),
                    )));
                }
                None if session.is_due(&self.settings, self.version, now) => {
                    return Ok(Wanted::Refresh(session));
                }
                None => return Ok(Wanted::Service(session)),
                Some(over) => Some(over),
            },
            Found::Unreadable | Found::Nothing => None,
        };
        self.unadmitted(why, exchange, &carrier)
    }

    /// Who is taken for signed in, in a case, if the request is for the service.
    fn stand_in(&self, exchange: &Exchange<'_>) -> Result<Option<Arc<Identity>>, Fault> {
        let Some(given) = exchange.memory.stand_in() else {
            return Ok(None);
        };
        let request = exchange.request()?;
        let home = Home::of(request).filter(|home| self.is_meant(*home, exchange));
        let is_for_service = home.is_none() && request.scheme == Scheme::Https;
        Ok(is_for_service.then(|| Arc::clone(given)))
    }

    /// What becomes of a request without a session.
    fn unadmitted(
        &self,
        why: Option<Over>,
        exchange: &Exchange<'_>,
        carrier: &Carrier<'_>,
    ) -> Result<Wanted, Fault> {
        let request = exchange.request()?;
        if caller::is_navigation(request) {
            return Ok(Wanted::SignIn {
                return_to: ReturnTo::of(request),
                again: false,
            });
        }
        let trouble = if why.is_some() {
            Trouble::Expired
        } else {
            Trouble::SignedOut
        };
        Ok(Wanted::Refused(Box::new(
            self.unauthorized(trouble, exchange, carrier)?,
        )))
    }

    /// A refusal that says where to sign in, and takes away cookies that are worth nothing.
    fn unauthorized(
        &self,
        trouble: Trouble,
        exchange: &Exchange<'_>,
        carrier: &Carrier<'_>,
    ) -> Result<Refusal, Fault> {
        let request = exchange.request()?;
        let back_to = ReturnTo::of(request);
        let refusal = trouble.refusal(Some(self.sign_in(&back_to)));
        let refusal = refusal.with(WWW_AUTHENTICATE, self.challenge.clone());
        Ok(with_cookies(
            refusal,
            carrier.removal_lines(request.head.lines()),
        ))
    }

    /// Whether a request for one of the paths is for this login, and not for another one of the policy.
    fn is_meant(&self, home: Home, exchange: &Exchange<'_>) -> bool {
        let Some(request) = &exchange.request else {
            return false;
        };
        let auth_id = &self.settings.auth_id;
        match home {
            Home::Callback => {
                let state = paths::parameter(request, "state").unwrap_or_default();
                attempt::State::read(&state).is_none_or(|state| *state.auth_id == **auth_id)
            }
            Home::Login | Home::Logout | Home::Backchannel => {
                paths::parameter(request, "auth_id").unwrap_or_default() == **auth_id
            }
        }
    }

    /// Where somebody signs in and comes back to a path.
    fn sign_in(&self, back_to: &ReturnTo) -> String {
        paths::sign_in(&self.settings.auth_id, back_to.as_str())
    }

    fn binding(&self, exchange: &Exchange<'_>) -> Result<Binding, Fault> {
        if let Some(fixed) = self.fixed {
            return Ok(fixed);
        }
        let client = self.settings.client(exchange)?;
        Ok(Binding::of(
            self.kind.name(),
            self.provider.name(),
            &client,
            &self.settings.auth_id,
        ))
    }

    fn carrier<'c, 'x: 'c>(&'c self, exchange: &Exchange<'x>) -> Result<Carrier<'c>, Fault> {
        const WHAT: &str = "adit session";
        let binding = self.binding(exchange)?;
        let context = match &self.settings.cookie_domain {
            None => binding.at_host(WHAT, exchange)?,
            Some(domain) => binding.in_domain(WHAT, domain.as_str(), exchange)?,
        };
        Ok(Carrier {
            names: &self.names,
            settings: &self.settings,
            issuer: &self.issuer,
            context,
            env: exchange.env,
        })
    }

    /// What the cookies of sign-ins that have begun are sealed for.
    fn attempt_context(&self, exchange: &Exchange<'_>) -> Result<Vec<u8>, Fault> {
        self.binding(exchange)?.at_host("adit sign-in", exchange)
    }

    fn client(&self, exchange: &Exchange<'_>) -> Result<Client, Fault> {
        self.settings.client(exchange)
    }

    /// Writes to the operator's log why a provider did not do what was asked of it.
    fn warn(&self, exchange: &Exchange<'_>, what: &str) {
        let endpoint = exchange.endpoint.url.to_string();
        let what = format!("login at {}: {what}", self.provider.name());
        exchange.env.log().warn(&endpoint, &what);
    }
}

#[async_trait]
impl Action for Login {
    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        if let Some(given) = self.stand_in(exchange)? {
            return Ok(self.admit_stand_in(given, exchange));
        }
        match self.wanted(exchange)? {
            Wanted::Nothing => Ok(Flow::Next),
            Wanted::Service(session) => self.admit(*session, Came::default(), exchange),
            Wanted::Refused(refusal) => Ok(Flow::Refuse(*refusal)),
            _ => Ok(Flow::Wait),
        }
    }

    async fn wait(&self, _: Phase, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        match self.wanted(exchange)? {
            Wanted::Nothing => Ok(Flow::Next),
            Wanted::Service(session) => self.admit(*session, Came::default(), exchange),
            Wanted::Refused(refusal) => Ok(Flow::Refuse(*refusal)),
            Wanted::Refresh(session) => self.refresh(*session, exchange).await,
            Wanted::SignIn { return_to, again } => self.begin(&return_to, again, exchange).await,
            Wanted::Callback => self.callback(exchange).await,
            Wanted::SignOut => self.sign_out(exchange).await,
            Wanted::News => self.news(exchange).await,
        }
    }

    fn in_shadow(&self) -> Shadow {
        Shadow::WouldRun
    }
}

fn with_cookies(refusal: Refusal, lines: Vec<HeaderValue>) -> Refusal {
    let with = |refusal: Refusal, line| refusal.with(SET_COOKIE, line);
    lines.into_iter().fold(refusal, with)
}
