//! A browser without JavaScript: cookies, redirects, forms.
//!
//! ```ignore
//! let mut browser = Browser::new(&gateway);
//! let page = browser.open("https://app.localhost/reports?year=2026").await;     // follows redirects to the last page
//! assert_eq!(page.url, gateway.url("https://app.localhost/reports?year=2026"));
//! let away = browser.get("https://app.localhost/").await;                       // follows none
//! ```

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{OidcProvider, Public, cookie_jar::CookieJar, raw::Io, soon, tls};

/// A person's browser. A clone is the same browser copied, cookies and all.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    pub(crate) jar: CookieJar,
    https: SocketAddr,
    http: SocketAddr,
    ca_pem: PathBuf,
    /// Servers with certificates of their own.
    trusted: Vec<(SocketAddr, PathBuf)>,
}

/// An answer, and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// A request that is more than a click.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: String,
}

// === impl Page ===

impl Page {
    /// The first header of a name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where it sends the browser, as a whole URL.
    pub(crate) fn location(&self) -> Option<String> {
        let to = self.header("location")?;
        (300..400)
            .contains(&self.status)
            .then(|| resolve(&self.url, to))
    }

    /// A parameter of the URL it came from, decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        parameter(&self.url, name)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The action of its first form, and the fields that are filled in already.
    fn form(&self) -> (String, Vec<(String, String)>) {
        let form = between(&self.body, "<form", "</form>")
            .unwrap_or_else(|| panic!("no form in {self:?}"));
        let action = attribute(form.split('>').next().unwrap(), "action").unwrap_or_default();
        let fields = form.split("<input").skip(1).filter_map(|rest| {
            let tag = rest.split('>').next()?;
            Some((
                attribute(tag, "name")?,
                attribute(tag, "value").unwrap_or_default(),
            ))
        });
        (resolve(&self.url, &action), fields.collect())
    }
}

// === impl Browser ===

impl Browser {
    /// One with no cookies yet, that trusts the gateway's authority.
    pub(crate) fn new(gateway: &impl Public) -> Self {
        Self {
            jar: CookieJar::default(),
            https: gateway.https(),
            http: gateway.http(),
            ca_pem: gateway.ca_pem().to_owned(),
            trusted: Vec::new(),
        }
    }

    /// Trusts a provider that speaks TLS, too.
    pub(crate) fn trusting(mut self, provider: &OidcProvider) -> Self {
        self.trusted.push((provider.address(), provider.ca_pem()));
        self
    }

    /// Goes to a URL, as somebody who types it, and follows no redirect.
    pub(crate) async fn get(&mut self, url: &str) -> Page {
        self.send(url, Ask::default()).await
    }

    /// Goes to a URL, and on to wherever it is sent.
    pub(crate) async fn open(&mut self, url: &str) -> Page {
        let page = self.get(url).await;
        self.follow(page).await
    }

    /// From an answer on to wherever it sends.
    pub(crate) async fn follow(&mut self, page: Page) -> Page {
        self.follow_until(page, |_| false).await
    }

    /// The same, but no further than the first URL that `is` describes: that one is not asked for.
    pub(crate) async fn follow_until(&mut self, mut page: Page, is: impl Fn(&str) -> bool) -> Page {
        for _ in 0..20 {
            match page.location() {
                Some(to) if !is(&to) => page = self.get(&to).await,
                _ => return page,
            }
        }
        panic!("redirected for ever: {page:?}");
    }

    /// Sends the page's first form with these fields, and goes on to wherever that leads.
    pub(crate) async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let (action, mut filled) = page.form();
        for (name, value) in fields {
            filled.retain(|(known, _)| known != name);
            filled.push(((*name).to_owned(), (*value).to_owned()));
        }
        let pairs = filled
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let ask = Ask {
            method: Method::POST,
            headers: &[("content-type", "application/x-www-form-urlencoded")],
            body: pairs.collect::<Vec<_>>().join("&"),
        };
        let answer = self.send(&action, ask).await;
        self.follow(answer).await
    }

    /// One request with the cookies that belong to it; what the answer sets is kept. Headers given replace the usual ones.
    pub(crate) async fn send(&mut self, url: &str, ask: Ask<'_>) -> Page {
        let url = self.whole(url);
        let place = Place::of(&url);
        let mut request = Request::builder()
            .method(ask.method)
            .uri(place.target)
            .header("host", place.authority);
        for (name, value) in [
            (
                "accept",
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            ),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ] {
            if !ask.headers.iter().any(|(given, _)| *given == name) {
                request = request.header(name, value);
            }
        }
        for (name, value) in ask.headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        if let Some(cookies) = self.cookies(&url) {
            request = request.header("cookie", cookies);
        }
        let request = request.body(Full::new(Bytes::from(ask.body))).unwrap();
        let (headers, status, body) = soon(&url, self.exchange(&place, request)).await;
        for set in headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            self.jar.set(place.host, place.path(), place.is_https, set);
        }
        Page {
            status,
            headers,
            body,
            url,
        }
    }

    /// The header `cookie` that a request for this URL carries.
    pub(crate) fn cookies(&self, url: &str) -> Option<String> {
        let url = self.whole(url);
        let place = Place::of(&url);
        self.jar.header(place.host, place.path(), place.is_https)
    }

    /// The gateway's ports where a URL names none.
    fn whole(&self, url: &str) -> String {
        struct Ports<'a>(&'a Browser);
        impl Public for Ports<'_> {
            fn https(&self) -> SocketAddr {
                self.0.https
            }
            fn http(&self) -> SocketAddr {
                self.0.http
            }
            fn ca_pem(&self) -> &Path {
                &self.0.ca_pem
            }
        }
        Ports(self).url(url)
    }

    async fn exchange(
        &self,
        place: &Place<'_>,
        request: Request<Full<Bytes>>,
    ) -> (HeaderMap, u16, String) {
        let address = SocketAddr::from(([127, 0, 0, 1], place.port));
        let own = self.trusted.iter().find(|(known, _)| *known == address);
        let ca_pem = own.map_or(&self.ca_pem, |(_, ca_pem)| ca_pem);
        let io: Box<dyn Io> = match place.is_https {
            true => Box::new(
                tls::connect_to(address, place.host, ca_pem, &["http/1.1"])
                    .await
                    .unwrap(),
            ),
            false => Box::new(TcpStream::connect(address).await.unwrap()),
        };
        let (mut send, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        let (head, body) = send.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        (head.headers, head.status.as_u16(), body)
    }
}

/// A URL in its parts.
struct Place<'a> {
    is_https: bool,
    authority: &'a str,
    host: &'a str,
    port: u16,
    target: &'a str,
}

impl<'a> Place<'a> {
    fn of(url: &'a str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or_else(|| panic!("{url}"));
        let rest = rest.split('#').next().unwrap();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = authority
            .rsplit_once(':')
            .unwrap_or_else(|| panic!("{url}"));
        Self {
            is_https: scheme == "https",
            authority,
            host,
            port: port.parse().unwrap(),
            target: if target.is_empty() { "/" } else { target },
        }
    }

    fn path(&self) -> &'a str {
        self.target.split('?').next().unwrap()
    }
}

/// A reference as a browser takes it, from the page at `base`.
fn resolve(base: &str, to: &str) -> String {
    if to.contains("://") {
        return to.to_owned();
    }
    let (scheme, rest) = base.split_once("://").unwrap();
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if let Some(rest) = to.strip_prefix("//") {
        return format!("{scheme}://{rest}");
    }
    let path = rest[authority.len()..].split(['?', '#']).next().unwrap();
    match to.chars().next() {
        None => base.to_owned(),
        Some('/') => format!("{scheme}://{authority}{to}"),
        Some('?') => format!("{scheme}://{authority}{path}{to}"),
        Some(_) => {
            let folder = path.rfind('/').map_or("", |at| &path[..at]);
            format!("{scheme}://{authority}{folder}/{to}")
        }
    }
}

/// A parameter of a URL, decoded.
pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let query = url.split('#').next()?.split_once('?')?.1;
    let value = query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then_some(value)
    })?;
    Some(decode(value))
}

/// A URL with another value for one of its parameters, which it has already or not; `None` takes it out.
pub(crate) fn with_parameter(url: &str, name: &str, value: Option<&str>) -> String {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let known = query
        .split('&')
        .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(name));
    let mut pairs: Vec<_> = known.map(str::to_owned).collect();
    pairs.extend(value.map(|value| format!("{name}={}", encode(value))));
    format!("{place}?{}", pairs.join("&"))
}

pub(crate) fn encode(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let hex = || u8::from_str_radix(std::str::from_utf8(behind.get(..2)?).ok()?, 16).ok();
        match (first, hex()) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let start = text.find(from)?;
    let end = text[start..].find(to)?;
    Some(&text[start..start + end])
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let end = tag[start..].find('"')?;
    let value = &tag[start..start + end];
    Some(value.replace("&amp;", "&").replace("&quot;", "\""))
}

#[test]
fn references_are_resolved_as_browsers_do() {
    let base = "https://app.localhost:1/a/b?c=d#e";
    for (to, whole) in [
        ("", base),
        ("/x", "https://app.localhost:1/x"),
        ("x?y", "https://app.localhost:1/a/x?y"),
        ("?y", "https://app.localhost:1/a/b?y"),
        ("//evil:2/x", "https://evil:2/x"),
        ("http://other:3/", "http://other:3/"),
    ] {
        assert_eq!(resolve(base, to), whole, "{to}");
    }
    assert_eq!(
        parameter("http://a/?b=c%2Fd+e&f", "b").as_deref(),
        Some("c/d e")
    );
    assert_eq!(
        with_parameter("http://a/?b=1&c=2", "b", Some("&")),
        "http://a/?c=2&b=%26"
    );
    assert_eq!(with_parameter("http://a/?b=1", "b", None), "http://a/?");
}
