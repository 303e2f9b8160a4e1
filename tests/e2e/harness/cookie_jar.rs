//! The cookies of a browser (RFC 6265bis): what it keeps, and what it sends where.

/// Cookies as a browser keeps them.
#[derive(Debug, Clone, Default)]
pub(crate) struct CookieJar(Vec<Cookie>);

/// One cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    /// The host that set it, or the domain that it named.
    pub(crate) domain: String,
    pub(crate) host_only: bool,
    pub(crate) path: String,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: String,
    /// Gone when the browser ends.
    pub(crate) of_session: bool,
}

impl CookieJar {
    /// Takes what a server sets. What a browser ignores is ignored: a foreign domain, `Secure` over plain http, a prefix
    /// whose promise is not kept.
    pub(crate) fn set(&mut self, host: &str, path: &str, is_https: bool, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let folder = match path.rfind('/') {
            None | Some(0) => "/",
            Some(at) => &path[..at],
        };
        let mut cookie = Cookie {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            domain: host.to_owned(),
            host_only: true,
            path: folder.to_owned(),
            secure: false,
            http_only: false,
            same_site: String::new(),
            of_session: true,
        };
        let mut is_over = false;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key.to_ascii_lowercase().as_str() {
                "domain" => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    // Of the names here, only `localhost` is one below which strangers live.
                    if !is_below(host, &domain) || (domain == "localhost" && host != domain) {
                        return;
                    }
                    (cookie.domain, cookie.host_only) = (domain, false);
                }
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "secure" => cookie.secure = true,
                "httponly" => cookie.http_only = true,
                "samesite" => cookie.same_site = value.to_ascii_lowercase(),
                "max-age" => {
                    cookie.of_session = false;
                    is_over = value.parse::<i64>().is_ok_and(|seconds| seconds <= 0);
                }
                "expires" => {
                    cookie.of_session = false;
                    is_over |= value.contains("1970") || value.contains("-70 ");
                }
                _ => {}
            }
        }
        let of_host = cookie.secure && cookie.host_only && cookie.path == "/";
        if (cookie.secure && !is_https)
            || (cookie.name.starts_with("__Secure-") && !cookie.secure)
            || (cookie.name.starts_with("__Host-") && !of_host)
        {
            return;
        }
        self.0.retain(|known| !known.is_same(&cookie));
        if !is_over {
            self.0.push(cookie);
        }
    }

    /// The value of the header `cookie` for a request; `None` if there is nothing to send.
    pub(crate) fn header(&self, host: &str, path: &str, is_https: bool) -> Option<String> {
        let mut fitting: Vec<_> = self
            .0
            .iter()
            .filter(|cookie| cookie.goes_to(host, path, is_https))
            .collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = fitting
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Cookie> {
        self.0.iter()
    }

    /// Changes or removes cookies by hand.
    pub(crate) fn edit(&mut self) -> &mut Vec<Cookie> {
        &mut self.0
    }
}

impl Cookie {
    fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.domain, &self.path) == (&other.name, &other.domain, &other.path)
    }

    fn goes_to(&self, host: &str, path: &str, is_https: bool) -> bool {
        let here = match self.host_only {
            true => host == self.domain,
            false => is_below(host, &self.domain),
        };
        let rest = path.strip_prefix(&self.path);
        let below = rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        });
        here && below && (is_https || !self.secure)
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    let rest = host.strip_suffix(domain);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[test]
fn a_jar_keeps_what_browsers_keep_and_sends_it_where_they_do() {
    let mut jar = CookieJar::default();
    let host = "a.app.localhost";
    for ignored in [
        "s=1; Domain=evil.localhost",
        "s=1; Domain=localhost",
        "s=1; Domain=b.a.app.localhost",
        "__Host-s=1; Path=/",
        "__Host-s=1; Secure; Path=/x",
        "__Host-s=1; Secure; Path=/; Domain=app.localhost",
        "__Secure-s=1",
        "nothing",
    ] {
        jar.set(host, "/x/y", true, ignored);
        assert_eq!(jar.iter().count(), 0, "{ignored}");
    }
    jar.set(host, "/", false, "s=1; Secure");
    assert_eq!(jar.iter().count(), 0);
    jar.set(host, "/x/y", true, "here=1");
    jar.set(host, "/", true, "__Host-all=2; Secure; Path=/; HttpOnly");
    jar.set(host, "/", true, "shared=3; Domain=app.localhost; Path=/");
    assert_eq!(
        jar.header(host, "/x/z", true).unwrap(),
        "here=1; __Host-all=2; shared=3"
    );
    assert_eq!(
        jar.header(host, "/xy", true).unwrap(),
        "__Host-all=2; shared=3"
    );
    assert_eq!(jar.header(host, "/", false).unwrap(), "shared=3");
    assert_eq!(
        jar.header("b.app.localhost", "/x", true).unwrap(),
        "shared=3"
    );
    assert_eq!(jar.header("xapp.localhost", "/", true), None);
    jar.set(host, "/", true, "__Host-all=; Secure; Path=/; Max-Age=0");
    assert_eq!(jar.header(host, "/", true).unwrap(), "shared=3");
}
