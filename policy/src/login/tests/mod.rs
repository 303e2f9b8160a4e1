//! Tests of logins, at a provider that says what it is told to say.

mod flow;
mod refresh;
mod sessions;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::Login;
use super::paths::parameter;
use super::provider::{
    Answer, Ask, Client, Failed, LogoutToken, Person, Provider, SignedIn, Tokens,
};
use super::settings::{Settings, login_config};
use crate::action::{Action, Flow, Phase};
use crate::canonical::Target;
use crate::document::read;
use crate::endpoint_url::{EndpointUrl, Scheme};
use crate::env::{Env, Random};
use crate::exchange::{Endpoint, Exchange, Request};
use crate::identity::Identity;
use crate::testing::{Turned, connection};

login_config! {
    struct Said {}
}

/// Knows whoever comes with their name as the code.
#[derive(Debug, Default)]
struct Scripted {
    /// The challenges of those who were sent, and their nonces.
    sent: Mutex<BTreeMap<String, String>>,
    /// What all calls answer, if not what they should.
    fails: Mutex<Option<Failed>>,
    refreshes: AtomicUsize,
    /// Whether there is a place to sign out.
    signs_out: bool,
    /// Bytes of an access token.
    bulk: usize,
}

#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (byte, new) in bytes.iter_mut().zip(digest(&SHA256, &count).as_ref()) {
            *byte = *new;
        }
    }
}

struct Rig {
    clock: Arc<Turned>,
    env: Env,
    provider: Arc<Scripted>,
    login: Login,
}

/// A browser with its cookies, or a program.
#[derive(Clone)]
struct Browser {
    method: Method,
    host: &'static str,
    endpoint: &'static str,
    cookies: BTreeMap<String, String>,
    lines: Vec<(&'static str, &'static str)>,
}

/// What a visit came to.
#[derive(Debug)]
struct Seen {
    /// `None`: the request goes on to the service.
    status: Option<u16>,
    code: Option<u16>,
    location: Option<String>,
    link: Option<String>,
    cookies: Vec<String>,
    identity: Option<Arc<Identity>>,
    body: String,
}

impl Rig {
    fn new() -> Self {
        Self::with("", Scripted::default())
    }

    fn with(more: &str, provider: Scripted) -> Self {
        let clock = Arc::<Turned>::default();
        let env = Env::new(Arc::<Turned>::clone(&clock), Arc::<Counting>::default());
        let provider = Arc::new(provider);
        let login = login(more, &provider, &env);
        Self {
            clock,
            env,
            provider,
            login,
        }
    }

    /// Another policy of the same gateway.
    fn beside(&self, more: &str) -> Self {
        Self {
            clock: Arc::clone(&self.clock),
            env: self.env.clone(),
            provider: Arc::clone(&self.provider),
            login: login(more, &self.provider, &self.env),
        }
    }

    async fn visit(&self, browser: &mut Browser, target: &str) -> Seen {
        let lines = browser.header();
        let url = EndpointUrl::parse("https://app.example.com").unwrap();
        let endpoint = Endpoint {
            id: browser.endpoint,
            url: &url,
        };
        let request = Request::new(
            Scheme::Https,
            &browser.method,
            browser.host,
            Target::parse(target.as_bytes()).unwrap(),
            &lines,
            crate::testing::now(),
        );
        let mut exchange = Exchange {
            endpoint: &endpoint,
            env: &self.env,
            request: Some(request),
            ..connection()
        };
        let flow = match self.login.on_http_request(&mut exchange).unwrap() {
            Flow::Wait => self
                .login
                .wait(Phase::OnHttpRequest, &mut exchange)
                .await
                .unwrap(),
            flow => flow,
        };
        let mut seen = Seen::of(flow);
        let marks = exchange.memory.take_marks().into_iter();
        seen.cookies
            .extend(marks.map(|(_, value)| value.to_str().unwrap().to_owned()));
        seen.identity = exchange.memory.identity().cloned();
        browser.keep(&seen.cookies);
        seen
    }

    /// The URL of a callback for whom `seen` has sent to the provider.
    fn callback(seen: &Seen, code: &str) -> String {
        let state = part(seen.location.as_deref().unwrap(), "state");
        format!("/adit/oauth2/callback?code={code}&state={state}")
    }

    /// Signs somebody in who opens `/`.
    async fn sign_in(&self, browser: &mut Browser, who: &str) -> Seen {
        let sent = self.visit(browser, "/").await;
        assert_eq!(sent.status, Some(302), "{sent:?}");
        let seen = self.visit(browser, &Self::callback(&sent, who)).await;
        assert_eq!(seen.location.as_deref(), Some("/"), "{seen:?}");
        seen
    }

    fn turn(&self, time: Duration) {
        self.clock.turn(time);
    }

    fn fail(&self, with: Option<Failed>) {
        *self.provider.fails.lock().unwrap() = with;
    }

    fn refreshes(&self) -> usize {
        self.provider.refreshes.load(Ordering::Relaxed)
    }
}

fn login(more: &str, provider: &Arc<Scripted>, env: &Env) -> Login {
    let text = match more.contains("client_secret") {
        true => format!("{{client_id: edge, {more}}}"),
        false => format!("{{client_id: edge, client_secret: sesame, {more}}}"),
    };
    let mut said: Said = read("f", &text).unwrap();
    let settings = Settings::of(said.common(), [385, 386]).unwrap();
    Login::openid_connect(
        settings,
        Arc::<Scripted>::clone(provider) as Arc<dyn Provider>,
        env,
    )
}

impl Browser {
    fn new() -> Self {
        Self {
            method: Method::GET,
            host: "app.example.com",
            endpoint: "ep_1",
            cookies: BTreeMap::new(),
            lines: vec![("accept", "text/html")],
        }
    }

    /// The same cookies, but what is shown to nobody.
    fn program(&self) -> Self {
        Self {
            lines: vec![("accept", "application/json")],
            ..self.clone()
        }
    }

    fn header(&self) -> HeaderMap {
        let mut lines = HeaderMap::new();
        for (name, value) in &self.lines {
            lines.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            lines.insert("cookie", cookies.join("; ").parse().unwrap());
        }
        lines
    }

    fn keep(&mut self, lines: &[String]) {
        for line in lines {
            let (pair, rest) = line.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(rest.contains("Secure; HttpOnly; SameSite=Lax"), "{line}");
            match rest.contains("Max-Age=0;") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
    }

    fn named(&self, prefix: &str) -> Vec<&str> {
        let names = self.cookies.keys().filter(|name| name.starts_with(prefix));
        names.map(String::as_str).collect()
    }
}

impl Seen {
    fn of(flow: Flow) -> Self {
        let mut seen = Self {
            status: None,
            code: None,
            location: None,
            link: None,
            cookies: Vec::new(),
            identity: None,
            body: String::new(),
        };
        match flow {
            Flow::Next => {}
            Flow::Deny(reply) => {
                seen.status = Some(reply.status().as_u16());
                let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
                seen.location = reply.headers().get(LOCATION).map(text);
                seen.cookies = reply
                    .headers()
                    .get_all(SET_COOKIE)
                    .iter()
                    .map(text)
                    .collect();
                assert_eq!(reply.headers()["cache-control"], "no-store");
                seen.body = String::from_utf8(reply.body().to_vec()).unwrap();
            }
            Flow::Refuse(refusal) => {
                seen.status = Some(refusal.status.as_u16());
                seen.code = Some(refusal.code);
                let cookies = refusal
                    .headers
                    .iter()
                    .filter(|(name, _)| *name == SET_COOKIE);
                seen.cookies = cookies
                    .map(|(_, value)| value.to_str().unwrap().to_owned())
                    .collect();
                seen.body = format!("{refusal:?}");
                let link = refusal.help.and_then(|help| help.link);
                seen.link = link.map(|(link, _)| link);
            }
            other => panic!("{other:?}"),
        }
        seen
    }
}

/// A parameter of a URL.
fn part(url: &str, name: &str) -> String {
    let (_, query) = url.split_once('?').unwrap();
    let pairs = crate::canonical::query_pairs(query);
    let mut found = pairs.filter(|(known, _)| known == name);
    found.next().unwrap().1.into_owned()
}

impl Scripted {
    fn answer(&self, who: &str) -> Result<SignedIn, Failed> {
        if let Some(failed) = &*self.fails.lock().unwrap() {
            return Err(failed.clone());
        }
        let claims = json!({"sub": who, "groups": ["staff"]});
        let tokens = Tokens {
            access: "a".repeat(self.bulk),
            refresh: Some(format!(
                "refresh-{}",
                self.refreshes.load(Ordering::Relaxed)
            )),
            id: Some("id-token".to_owned()),
            expires: None,
        };
        let person = Person {
            subject: who.to_owned(),
            name: who.to_owned(),
            email: format!("{who}@Corp.com"),
            email_verified: None,
            claims: Arc::new(claims.as_object().unwrap().clone()),
            provider_session: Some(format!("sid-{who}")),
        };
        Ok(SignedIn { person, tokens })
    }
}

#[async_trait]
impl Provider for Scripted {
    fn name(&self) -> &str {
        "https://id.example"
    }

    async fn authorize(&self, ask: &Ask<'_>, client: &Client, _: &Env) -> Result<String, Failed> {
        if let Some(failed) = &*self.fails.lock().unwrap() {
            return Err(failed.clone());
        }
        assert_eq!(
            (client.id.as_str(), client.secret.expose()),
            ("edge", "sesame")
        );
        self.sent
            .lock()
            .unwrap()
            .insert(ask.challenge.to_owned(), ask.nonce.to_owned());
        Ok(format!(
            "https://id.example/authorize?state={}&redirect_uri={}&again={}",
            ask.state, ask.redirect_uri, ask.again
        ))
    }

    async fn redeem(&self, answer: &Answer<'_>, _: &Client, _: &Env) -> Result<SignedIn, Failed> {
        assert!(answer.redirect_uri.ends_with("/adit/oauth2/callback"));
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, answer.verifier.as_bytes()));
        let nonce = self.sent.lock().unwrap().remove(&challenge);
        match (nonce, answer.iss) {
            (_, Some(iss)) if iss != self.name() => Err(Failed::Unbelievable("iss".to_owned())),
            (Some(nonce), _) if nonce == answer.nonce => self.answer(answer.code),
            (Some(_), _) => Err(Failed::Unbelievable("nonce".to_owned())),
            (None, _) => Err(Failed::Refused("code_verifier".to_owned())),
        }
    }

    async fn refresh(
        &self,
        tokens: &Tokens,
        subject: &str,
        _: &Client,
        _: &Env,
    ) -> Result<SignedIn, Failed> {
        let count = self.refreshes.fetch_add(1, Ordering::Relaxed);
        // Each refresh token is good once.
        assert_eq!(tokens.refresh, Some(format!("refresh-{count}")));
        self.answer(subject)
    }

    async fn sign_out(
        &self,
        tokens: &Tokens,
        back_to: &str,
        _: &Client,
        _: &Env,
    ) -> Option<String> {
        let hint = tokens.id.clone().unwrap_or_default();
        self.signs_out
            .then(|| format!("https://id.example/end?hint={hint}&back={back_to}"))
    }

    async fn logout_token(
        &self,
        token: &str,
        _: &Client,
        env: &Env,
    ) -> Result<LogoutToken, Failed> {
        let (what, id) = token
            .split_once('.')
            .ok_or_else(|| Failed::Unbelievable("token".to_owned()))?;
        let is_session = what.starts_with("sid-");
        Ok(LogoutToken {
            subject: (!is_session).then(|| what.to_owned()),
            session: is_session.then(|| what.to_owned()),
            id: id.to_owned(),
            expires: env.clock().now() + Duration::from_secs(60),
        })
    }
}

#[test]
fn a_parameter_that_comes_twice_is_none() {
    let lines = HeaderMap::new();
    let exchange = crate::testing::get("/?a=1&b=2&b=3", &lines);
    let request = exchange.request().unwrap();
    assert_eq!(parameter(request, "a").as_deref(), Some("1"));
    assert_eq!(parameter(request, "b"), None);
    assert_eq!(parameter(request, "c"), None);
}
