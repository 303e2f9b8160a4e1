//! Cookies on their way between client, gateway and service.
//!
//! Three rules:
//! - A client's cookies are one line. HTTP/2 sends them in crumbs, and of several lines a service may read the first,
//!   the last or all (RFC 9113 §8.2.3, RFC 6265 §5.4).
//! - The gateway's own cookies are nobody else's: no service sees them, and none can set one.
//! - An agent's service can set no cookie for the domain that all agents share, or one could sign its visitors in at
//!   another's with a session of its choice. Endpoints that the operator declared may: they are the operator's.

use std::time::Duration;

use adit_policy::canonical::Host;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, header};
use memchr::memmem;
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use tracing::debug;

/// How the names of the gateway's own cookies begin.
const OWN: [&[u8]; 3] = [b"__Host-adit_", b"__Secure-adit_", PLAIN.as_bytes()];

/// What stands in each of them.
const MARK: &[u8] = b"adit_";

/// How the name of a cookie begins that names the member of a pool.
const MEMBER: &str = "__Host-adit_member_";
/// The same over plain http, where browsers take no `__Host-`.
const PLAIN: &str = "adit_member_";

/// The cookie that keeps a client at a member of an endpoint's pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sticky<'a> {
    /// What tells the endpoint from others that serve the same host.
    pub(super) tag: &'a str,
    pub(super) https: bool,
}

/// Makes one line of several.
pub(super) fn join(request: &mut RequestHeader) -> Result<()> {
    let mut lines = request.headers.get_all(header::COOKIE).iter();
    if lines.next().is_none() || lines.next().is_none() {
        return Ok(());
    }
    let lines: Vec<_> = request.headers.get_all(header::COOKIE).iter().collect();
    let lines: Vec<_> = lines.into_iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_bytes(&lines.join(b"; ".as_slice()));
    replace(request, joined.ok())
}

/// Takes the gateway's own cookies out of a request before a service gets it.
pub(super) fn withhold_own(request: &mut RequestHeader) -> Result<()> {
    let lines = request.headers.get_all(header::COOKIE);
    if !lines
        .iter()
        .any(|line| memmem::find(line.as_bytes(), MARK).is_some())
    {
        return Ok(());
    }
    let pairs = lines.iter().flat_map(|line| line.as_bytes().split(is_end));
    let theirs: Vec<_> = pairs
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty() && !is_own(pair))
        .collect();
    let line = HeaderValue::from_bytes(&theirs.join(b"; ".as_slice()));
    replace(request, line.ok().filter(|_| !theirs.is_empty()))
}

/// Drops what a service may not set. `shared`: the domain that its endpoint has in common with others.
pub(super) fn drop_foreign(response: &mut ResponseHeader, shared: Option<&Host>) -> Result<()> {
    let lines = response.headers.get_all(header::SET_COOKIE);
    let is_foreign = |line: &HeaderValue| {
        let line = line.as_bytes();
        is_own(line.trim_ascii_start()) || shared.is_some_and(|shared| is_for(line, shared))
    };
    let all = lines.iter().count();
    if all == 0 || !lines.iter().any(is_foreign) {
        return Ok(());
    }
    let lawful: Vec<_> = lines
        .iter()
        .filter(|line| !is_foreign(line))
        .cloned()
        .collect();
    debug!(
        dropped = all - lawful.len(),
        "a service set cookies that are not its own"
    );
    response.remove_header(&header::SET_COOKIE);
    for line in lawful {
        response.append_header("Set-Cookie", line)?;
    }
    Ok(())
}

// === impl Sticky ===

impl Sticky<'_> {
    /// The mark of the member that a request names; whatever is no mark is nothing.
    pub(super) fn read(&self, request: &RequestHeader) -> Option<u128> {
        let lines = request.headers.get_all(header::COOKIE).iter();
        let mut pairs = lines.flat_map(|line| line.as_bytes().split(is_end));
        pairs.find_map(|pair| {
            let rest = pair.trim_ascii().strip_prefix(self.begin().as_bytes())?;
            let value = rest.strip_prefix(self.tag.as_bytes())?.strip_prefix(b"=")?;
            let mut mark = [0; 16];
            let length = URL_SAFE_NO_PAD.decode_slice(value, &mut mark).ok()?;
            (length == mark.len()).then(|| u128::from_be_bytes(mark))
        })
    }

    /// Has the client name a member from now on.
    pub(super) fn set(
        &self,
        response: &mut ResponseHeader,
        mark: u128,
        max_age: Option<Duration>,
    ) -> Result<()> {
        let value = URL_SAFE_NO_PAD.encode(mark.to_be_bytes());
        let (begin, tag) = (self.begin(), self.tag);
        let mut line = format!("{begin}{tag}={value}; Path=/; HttpOnly; SameSite=Lax");
        if self.https {
            line.push_str("; Secure");
        }
        if let Some(max_age) = max_age {
            line.push_str("; Max-Age=");
            line.push_str(&max_age.as_secs().to_string());
        }
        response.append_header("Set-Cookie", line)?;
        Ok(())
    }

    fn begin(&self) -> &'static str {
        if self.https { MEMBER } else { PLAIN }
    }
}

fn replace(request: &mut RequestHeader, line: Option<HeaderValue>) -> Result<()> {
    match line {
        Some(line) => request.insert_header("Cookie", line),
        None => {
            request.remove_header(&header::COOKIE);
            Ok(())
        }
    }
}

fn is_end(byte: &u8) -> bool {
    *byte == b';'
}

/// Browsers have taken `=name=value` for a cookie without a name, and sent it back as `name=value`.
fn is_own(cookie: &[u8]) -> bool {
    let begins = cookie
        .iter()
        .position(|byte| !matches!(byte, b'=' | b' ' | b'\t'));
    let named = begins.and_then(|at| cookie.get(at..)).unwrap_or_default();
    OWN.iter().any(|own| named.starts_with(own))
}

/// Whether a Set-Cookie line is for this domain or one above it.
fn is_for(line: &[u8], shared: &Host) -> bool {
    line.split(is_end).skip(1).any(|attribute| {
        let mut parts = attribute.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let value = parts.next().unwrap_or_default().trim_ascii();
        let domain = value.strip_prefix(b".").unwrap_or(value);
        name.eq_ignore_ascii_case(b"domain") && covers(domain, shared.as_str().as_bytes())
    })
}

fn covers(domain: &[u8], host: &[u8]) -> bool {
    let Some(at) = host.len().checked_sub(domain.len()) else {
        return false;
    };
    let whole = at == 0 || host.get(at - 1) == Some(&b'.');
    whole
        && !domain.is_empty()
        && host
            .get(at..)
            .is_some_and(|end| end.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(cookies: &[&str]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for line in cookies {
            request.append_header("Cookie", *line).unwrap();
        }
        request
    }

    fn cookies(request: &RequestHeader) -> Vec<&str> {
        let lines = request.headers.get_all(header::COOKIE).iter();
        lines.map(|line| line.to_str().unwrap()).collect()
    }

    #[test]
    fn a15_a_only_the_gateways_own_cookies_are_withheld() {
        for (sent, left) in [
            (&["a=1; b=2"][..], &["a=1; b=2"][..]),
            (&["a=1;b=2"], &["a=1;b=2"]),
            (&["__Host-adit_session=x"], &[]),
            (&["a=1; __Host-adit_session=x; b=2"], &["a=1; b=2"]),
            (&["__Secure-adit_csrf=x;a=1"], &["a=1"]),
            (
                &[
                    "__Host-adit_session_ab12=1.x; __Host-adit_session_ab12.1=y; a=1; __Host-adit_session_ab12.2=z",
                ],
                &["a=1"],
            ),
            (
                &["__Secure-adit_session_ab12.7=x; __Host-adit_nonce_ab12.Zm9v=n; b=2"],
                &["b=2"],
            ),
            (
                &["a=__Host-adit_; =__Host-adit_session=x"],
                &["a=__Host-adit_"],
            ),
            (
                &["x__Host-adit_a=1; __Host-aditor=2"],
                &["x__Host-adit_a=1; __Host-aditor=2"],
            ),
            (&["__Host-adit_session"], &[]),
            (&["a=1", "__Host-adit_s=x; b=2"], &["a=1; b=2"]),
        ] {
            let mut request = request(sent);
            withhold_own(&mut request).unwrap();
            assert_eq!(cookies(&request), left, "{sent:?}");
        }
    }

    #[test]
    fn what_names_a_member_is_read_where_it_was_set_and_nowhere_else() {
        let mark = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;
        for https in [true, false] {
            let sticky = Sticky {
                tag: "ab12cd34",
                https,
            };
            let mut response = ResponseHeader::build(200, None).unwrap();
            sticky
                .set(&mut response, mark, Some(Duration::from_secs(60)))
                .unwrap();
            let line = response.headers["set-cookie"].to_str().unwrap().to_owned();
            assert!(
                line.ends_with("; Max-Age=60") && line.contains("; Secure") == https,
                "{line}"
            );
            let (pair, _) = line.split_once(';').unwrap();
            let sent = request(&["a=1", pair]);
            assert_eq!(sticky.read(&sent), Some(mark));
            let mut to_service = sent.clone();
            withhold_own(&mut to_service).unwrap();
            assert_eq!(cookies(&to_service), ["a=1"]);
            let elsewhere = Sticky {
                tag: "ab12cd35",
                https,
            };
            assert_eq!(elsewhere.read(&sent), None);
            let other_scheme = Sticky {
                tag: "ab12cd34",
                https: !https,
            };
            assert_eq!(other_scheme.read(&sent), None);
            let (name, value) = pair.split_once('=').unwrap();
            for garbage in [
                "",
                "x",
                "!!!!",
                &value[1..],
                &format!("{value}A"),
                &"A".repeat(5000),
            ] {
                assert_eq!(
                    sticky.read(&request(&[&format!("{name}={garbage}")])),
                    None,
                    "{garbage}"
                );
            }
            // A service cannot set it.
            drop_foreign(&mut response, None).unwrap();
            assert!(!response.headers.contains_key("set-cookie"));
        }
    }

    #[test]
    fn crumbs_become_one_line() {
        let mut crumbs = request(&["a=1", "b=2; c=3", "d=4"]);
        join(&mut crumbs).unwrap();
        assert_eq!(cookies(&crumbs), ["a=1; b=2; c=3; d=4"]);
        for lines in [&["a=1"][..], &[]] {
            let mut request = request(lines);
            join(&mut request).unwrap();
            assert_eq!(cookies(&request), lines);
        }
    }

    #[test]
    fn a15_b_a_service_sets_its_own_cookies_and_no_others() {
        let shared = Host::parse("tunnels.example.com").unwrap();
        let kept = |line: &str, shared: Option<&Host>| {
            let mut response = ResponseHeader::build(200, None).unwrap();
            response.append_header("Set-Cookie", "first=1").unwrap();
            response.append_header("Set-Cookie", line).unwrap();
            response.append_header("Set-Cookie", "last=1").unwrap();
            drop_foreign(&mut response, shared).unwrap();
            let lines: Vec<_> = response.headers.get_all("set-cookie").iter().collect();
            assert_eq!(
                (lines[0], lines[lines.len() - 1]),
                (
                    &HeaderValue::from_static("first=1"),
                    &HeaderValue::from_static("last=1")
                )
            );
            lines.len() == 3
        };
        for line in [
            "__Host-adit_session=evil; Path=/; Secure",
            "__Secure-adit_csrf=evil",
            "__Host-adit_session_ab12.3=evil; Path=/; Secure",
            "__Secure-adit_session_ab12=evil; Domain=example.org; Secure",
            "__Host-adit_nonce_ab12.Zm9v=evil; Path=/; Secure",
            " =__Host-adit_session=evil",
            "__Host-adit_session",
        ] {
            assert!(!kept(line, None), "{line}");
        }
        for line in [
            "s=1; Domain=tunnels.example.com",
            "s=1; path=/; DOMAIN = .Tunnels.Example.com ;Secure",
            "s=1; domain=example.com",
            "s=1; domain=com",
        ] {
            assert!(!kept(line, Some(&shared)), "{line}");
            assert!(kept(line, None), "{line}");
        }
        for line in [
            "s=1",
            "s=1; Domain=app.tunnels.example.com",
            "s=1; Domain=els.example.com",
            "s=1; Domain=",
            "domain=tunnels.example.com",
            "s=1; Domain=example.org",
        ] {
            assert!(kept(line, Some(&shared)), "{line}");
        }
    }
}
