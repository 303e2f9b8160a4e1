//! Who the client is, and the headers that tell the service.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora_core::Result;
use pingora_http::RequestHeader;

use super::errors::ErrorPage;
use crate::{edge::Edge, front::io::Connection};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Tells policies and services that a request is a copy, and its answer goes to nobody.
pub(super) const MIRRORED: HeaderName = HeaderName::from_static("adit-mirrored");

/// What the gateway itself knows of a connection.
pub(super) struct Stamp {
    pub(super) peer: HeaderValue,
    pub(super) scheme: &'static str,
    /// Whether the peer's own `X-Forwarded-*` are believed and continued.
    pub(super) trusted: bool,
}

/// Whether the peer is a proxy of the operator's.
pub(super) fn is_trusted(edge: &Edge, facts: &Connection) -> bool {
    edge.trusts(facts.peer.ip())
}

/// The client's address: the peer's, or behind trusted proxies the rightmost one that is not a proxy.
pub(super) fn client(
    edge: &Edge,
    facts: &Connection,
    request: &RequestHeader,
) -> Result<SocketAddr, ErrorPage> {
    rightmost_stranger(facts.peer, &request.headers, |address| edge.trusts(address))
}

/// An entry that cannot be read is refused: going on with the next one would believe a stranger.
fn rightmost_stranger(
    peer: SocketAddr,
    headers: &HeaderMap,
    trusts: impl Fn(IpAddr) -> bool,
) -> Result<SocketAddr, ErrorPage> {
    let mut client = peer;
    if !trusts(client.ip()) {
        return Ok(client);
    }
    let lines: Vec<_> = headers.get_all(FOR).iter().collect();
    for line in lines.into_iter().rev() {
        let line = line.to_str().map_err(|_| unreadable())?;
        for entry in line.rsplit(',') {
            client = SocketAddr::new(address(entry.trim()).ok_or_else(unreadable)?, 0);
            if !trusts(client.ip()) {
                return Ok(client);
            }
        }
    }
    Ok(client)
}

fn unreadable() -> ErrorPage {
    ErrorPage::bad_request("a trusted proxy sent an x-forwarded-for that is no list of addresses")
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let parsed = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(parsed.to_canonical())
}

/// Takes out what only the gateway may say, and says it.
pub(super) fn stamp(request: &mut RequestHeader, stamp: Stamp) -> Result<()> {
    remove_nominated(request);
    let before = stamp.trusted.then(|| Claimed::read(request));
    remove_reserved(request);
    let host = match request.headers.get(header::HOST) {
        Some(host) => Some(host.clone()),
        None => request
            .uri
            .authority()
            .and_then(|host| HeaderValue::from_str(host.as_str()).ok()),
    };
    let before = before.unwrap_or_default();
    let chain = match before.chain {
        Some(chain) => {
            let peer = stamp.peer.to_str().unwrap_or_default();
            HeaderValue::from_str(&format!("{chain}, {peer}")).unwrap_or(stamp.peer)
        }
        None => stamp.peer,
    };
    request.insert_header("X-Forwarded-For", chain)?;
    let proto = before
        .proto
        .unwrap_or_else(|| HeaderValue::from_static(stamp.scheme));
    request.insert_header("X-Forwarded-Proto", proto)?;
    if let Some(host) = before.host.or(host) {
        request.insert_header("X-Forwarded-Host", host)?;
    }
    Ok(())
}

/// What a trusted proxy said.
#[derive(Default)]
struct Claimed {
    chain: Option<String>,
    proto: Option<HeaderValue>,
    host: Option<HeaderValue>,
}

impl Claimed {
    fn read(request: &RequestHeader) -> Self {
        let lines: Vec<_> = request
            .headers
            .get_all(FOR)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .collect();
        let known = |proto: &&HeaderValue| *proto == "http" || *proto == "https";
        Self {
            chain: Some(lines.join(", ")).filter(|chain| !chain.trim().is_empty()),
            proto: request.headers.get(PROTO).filter(known).cloned(),
            host: request.headers.get(HOST).cloned(),
        }
    }
}

/// RFC 9110 §7.6.1: headers that Connection names are for this hop only. They go before ours come,
/// or a client could have ours taken out again.
fn remove_nominated(request: &mut RequestHeader) {
    let mut nominated = Vec::new();
    let (mut ordinary, mut upgrade) = (true, false);
    for line in request.headers.get_all(header::CONNECTION) {
        for option in line.as_bytes().split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            let is = |known: &&[u8]| option.eq_ignore_ascii_case(known);
            upgrade |= is(&b"upgrade".as_slice());
            if OPTIONS.iter().any(is) {
                continue;
            }
            ordinary = false;
            if !ESSENTIAL.iter().any(is) {
                nominated.extend(HeaderName::from_bytes(option).ok());
            }
        }
    }
    if !upgrade {
        // Pingora would take Upgrade alone for a wish to upgrade, and say Connection for the client.
        request.remove_header(&header::UPGRADE);
    }
    if ordinary {
        return;
    }
    for name in &nominated {
        request.remove_header(name);
    }
    request.remove_header(&header::CONNECTION);
    if upgrade {
        // Its failure would need a header map with 32768 entries.
        drop(request.insert_header(header::CONNECTION, "upgrade"));
    }
}

/// What Connection says of the connection itself. Pingora acts on it.
const OPTIONS: [&[u8]; 6] = [
    b"",
    b"keep-alive",
    b"close",
    b"upgrade",
    b"te",
    b"http2-settings",
];

/// What no client can make a matter of one hop: whom a request is for, and where it ends. A body whose
/// length was taken out would be read as the next request.
const ESSENTIAL: [&[u8]; 3] = [b"host", b"content-length", b"transfer-encoding"];

fn remove_reserved(request: &mut RequestHeader) {
    if !request.headers.keys().any(is_reserved) {
        return;
    }
    let reserved: Vec<_> = request
        .headers
        .keys()
        .filter(|name| is_reserved(name))
        .cloned()
        .collect();
    for name in reserved {
        request.remove_header(&name);
    }
}

/// Headers by which the gateway speaks to services, in every spelling that some server takes for them:
/// CGI makes `_` of `-`, and others fold `.` too.
pub(super) fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    let is = |known: &[u8]| name.len() == known.len() && begins(name, known);
    match name.first() {
        Some(b'x') => begins(name, b"x-forwarded-") || is(b"x-forwarded") || is(b"x-real-ip"),
        Some(b'f') => is(b"forwarded"),
        Some(b'a') => begins(name, b"adit-"),
        // With these, services behind ngrok are told a person's tokens.
        Some(b'n') => begins(name, b"ngrok-auth-"),
        _ => false,
    }
}

fn begins(name: &[u8], known: &[u8]) -> bool {
    name.len() >= known.len()
        && name.iter().zip(known).all(|(byte, known)| match byte {
            b'_' | b'.' => *known == b'-',
            byte => byte == known,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.insert_header("Host", "app.example.com").unwrap();
        for (name, value) in lines {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    fn stamped(lines: &[(&'static str, &'static str)], trusted: bool) -> Vec<(String, String)> {
        let mut request = request(lines);
        let peer = HeaderValue::from_static("192.0.2.7");
        stamp(
            &mut request,
            Stamp {
                peer,
                scheme: "https",
                trusted,
            },
        )
        .unwrap();
        let mut lines: Vec<_> = request
            .headers
            .iter()
            .filter(|(name, _)| *name != header::HOST)
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        lines.sort();
        lines
    }

    fn ours() -> Vec<(String, String)> {
        [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-host", "app.example.com"),
            ("x-forwarded-proto", "https"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec()
    }

    #[test]
    fn a10_what_a_stranger_says_of_itself_is_replaced() {
        let lies = [
            ("X-Forwarded-For", "127.0.0.1"),
            ("X-Forwarded-Host", "admin.example.com"),
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Uri", "/public"),
            ("X-Forwarded-Prefix", "/x"),
            ("X-Forwarded-Port", "1"),
            ("X-Forwarded-User", "admin"),
            ("X-Forwarded-Email", "admin@example.com"),
            ("Forwarded", "for=127.0.0.1"),
            ("X-Real-IP", "127.0.0.1"),
        ];
        assert_eq!(stamped(&lies, false), ours());
    }

    #[test]
    fn a12_other_spellings_of_the_same_header_go_too() {
        let lies = [
            ("X_Forwarded_User", "admin"),
            ("X-Forwarded.User", "admin"),
            ("x_real_ip", "127.0.0.1"),
            ("adit_hop", "1"),
            ("adit.assertion", "x.y.z"),
            ("Adit-Assertion", "x.y.z"),
            ("ngrok-auth-oauth-access-token", "x"),
            ("Ngrok_Auth.User-Email", "admin@example.com"),
        ];
        assert_eq!(stamped(&lies, false), ours());
        // No header of ours, and people send it.
        let harmless = stamped(&[("ngrok-skip-browser-warning", "1")], false);
        assert_eq!(harmless.len(), 4);
    }

    #[test]
    fn a13_a_client_cannot_nominate_our_headers_away() {
        let lies = [
            ("Connection", "X-Auth-User, X-Forwarded-For, close"),
            ("X-Auth-User", "admin"),
        ];
        assert_eq!(stamped(&lies, false), ours());
    }

    #[test]
    fn a13_neither_can_it_nominate_the_end_of_its_request_away_or_an_upgrade_in() {
        let said = [
            (
                "Connection",
                "Host, Content-Length, transfer-encoding, X-Own",
            ),
            ("Content-Length", "5"),
            ("Upgrade", "websocket"),
            ("X-Own", "1"),
        ];
        let names: Vec<_> = stamped(&said, false)
            .into_iter()
            .map(|line| line.0)
            .collect();
        assert_eq!(names[0], "content-length");
        assert_eq!(names.len(), 4);
        let said = [
            ("Connection", "keep-alive, Upgrade"),
            ("Upgrade", "websocket"),
        ];
        assert_eq!(stamped(&said, false).len(), 5);
    }

    #[test]
    fn a_trusted_proxy_is_continued() {
        let said = [
            ("X-Forwarded-For", "198.51.100.1"),
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Host", "shop.example.com"),
        ];
        let lines = stamped(&said, true);
        assert_eq!(lines[0].1, "198.51.100.1, 203.0.113.9, 192.0.2.7");
        assert_eq!(lines[1].1, "shop.example.com");
        assert_eq!(lines[2].1, "http");
    }

    #[test]
    fn a11_the_client_is_the_rightmost_address_that_is_no_proxy() {
        let client = |peer: &str, lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FOR, HeaderValue::from_str(line).unwrap());
            }
            let ours = |address: IpAddr| address.to_string().starts_with("10.");
            rightmost_stranger(format!("{peer}:1").parse().unwrap(), &headers, ours)
                .map(|client| client.ip().to_string())
                .map_err(|page| page.status.as_u16())
        };
        let is = |address: &str| Ok(address.to_owned());
        let three = "192.0.2.66, 203.0.113.9, 10.0.0.2";
        assert_eq!(client("10.0.0.1", &[three]), is("203.0.113.9"));
        assert_eq!(
            client("10.0.0.1", &["192.0.2.66", "203.0.113.9", "10.0.0.2"]),
            is("203.0.113.9")
        );
        assert_eq!(client("198.51.100.1", &[three]), is("198.51.100.1"));
        assert_eq!(client("10.0.0.1", &[]), is("10.0.0.1"));
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), is("10.0.0.3"));
        for unreadable in [
            "",
            "unknown",
            "203.0.113.9,",
            "203.0.113.9, , 10.0.0.2",
            "203.0.113.9 10.0.0.2",
        ] {
            assert_eq!(
                client("10.0.0.1", &[unreadable]),
                Err(400),
                "{unreadable:?}"
            );
            // Not that anybody asks a stranger.
            assert_eq!(client("198.51.100.1", &[unreadable]), is("198.51.100.1"));
        }
        // What stands left of the client is nobody's business.
        assert_eq!(
            client("10.0.0.1", &["unknown, 203.0.113.9"]),
            is("203.0.113.9")
        );
    }

    #[test]
    fn a11_c_addresses_are_read_in_every_form_and_nothing_else_is() {
        for text in [
            "192.0.2.1",
            "192.0.2.1:80",
            "::ffff:192.0.2.1",
            "[::ffff:192.0.2.1]:80",
            "[::ffff:192.0.2.1]",
        ] {
            assert_eq!(address(text), Some(IpAddr::from([192, 0, 2, 1])), "{text}");
        }
        for text in ["", "unknown", "192.0.2", "192.0.2.1:x", "[::1", "a, b"] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
