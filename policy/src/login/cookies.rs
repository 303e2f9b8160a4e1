//! The cookies of a login: their names, and lines that set and remove them.

use http::header::{COOKIE, HeaderMap, HeaderValue};

use crate::canonical::Host;

/// How the names of cookies are called that belong to one login.
#[derive(Debug)]
pub(super) struct Names {
    /// The session's.
    pub(super) session: String,
    /// What the name of a sign-in that has begun begins with; behind it stands a part of its state.
    pub(super) attempt: String,
    /// The session's domain, if it is not for one host alone.
    pub(super) domain: Option<Host>,
}

// === impl Names ===

impl Names {
    pub(super) fn of(auth_id: &str, domain: Option<&Host>) -> Self {
        let behind = if auth_id.is_empty() {
            String::new()
        } else {
            format!("_{auth_id}")
        };
        let prefix = if domain.is_some() {
            "__Secure-"
        } else {
            "__Host-"
        };
        Self {
            session: format!("{prefix}adit_session{behind}"),
            attempt: format!("__Host-adit_nonce{behind}."),
            domain: domain.cloned(),
        }
    }

    /// The name of one of the cookies over which a session is spread, from 0.
    pub(super) fn part(&self, index: usize) -> String {
        match index {
            0 => self.session.clone(),
            _ => format!("{}.{index}", self.session),
        }
    }

    /// A line that sets a cookie of the session for so many seconds; 0 removes it.
    pub(super) fn session_line(
        &self,
        name: &str,
        value: &str,
        seconds: u64,
    ) -> Option<HeaderValue> {
        let domain = self.domain.as_ref();
        let domain = domain.map_or_else(String::new, |domain| format!("; Domain={domain}"));
        line(format!(
            "{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax{domain}"
        ))
    }
}

/// A line that sets a cookie for this host alone for so many seconds; 0 removes it.
pub(super) fn host_line(name: &str, value: &str, seconds: u64) -> Option<HeaderValue> {
    line(format!(
        "{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax"
    ))
}

/// Every cookie of a request, by name and value.
pub(super) fn all(lines: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = lines.get_all(COOKIE).iter();
    let texts = lines.filter_map(|line| std::str::from_utf8(line.as_bytes()).ok());
    let pairs = texts.flat_map(|text| text.split(';'));
    pairs.filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim(), value.trim()))
    })
}

fn line(text: String) -> Option<HeaderValue> {
    let mut line = HeaderValue::try_from(text).ok()?;
    line.set_sensitive(true);
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lines;

    #[test]
    fn a36_g_a_cookie_is_for_its_host_alone_unless_the_policy_says_otherwise() {
        let names = Names::of("", None);
        assert_eq!(
            names.session_line(&names.part(0), "v", 9).unwrap(),
            "__Host-adit_session=v; Path=/; Max-Age=9; Secure; HttpOnly; SameSite=Lax"
        );
        let domain = Host::parse("example.com").unwrap();
        let names = Names::of("a", Some(&domain));
        assert_eq!(names.part(2), "__Secure-adit_session_a.2");
        assert!(names.attempt.starts_with("__Host-adit_nonce_a."));
        let line = names.session_line("n", "v", 0).unwrap();
        assert_eq!(
            line,
            "n=v; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax; Domain=example.com"
        );
        assert!(line.is_sensitive());
    }

    #[test]
    fn cookies_are_read_from_all_lines() {
        let lines = lines(&[
            ("cookie", "a=1; b = 2;c; =d"),
            ("x", "e=5"),
            ("cookie", "f=6=7"),
        ]);
        let found: Vec<_> = all(&lines).collect();
        assert_eq!(found, [("a", "1"), ("b", "2"), ("", "d"), ("f", "6=7")]);
    }
}
