//! Lines for the response that actions have made while there was none.

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};

use crate::exchange::Head;
use crate::memory::Memory;
use crate::verdict::Verdict;

/// Sets them before the first rule of the response phase runs. Where there is no room for one more line, the answer goes
/// without it.
pub(super) fn set(head: &mut Head<'_>, marks: Vec<(HeaderName, HeaderValue)>) {
    let is_shared = !marks.is_empty() && may_be_shared(head.lines());
    for (name, value) in marks {
        let done = match name {
            // A cache would give it to others; the next answer brings it, too.
            SET_COOKIE if is_shared => Ok(()),
            SET_COOKIE => head.append(name, value),
            _ => head.set(name, value),
        };
        done.unwrap_or_default();
    }
}

/// Cookies come along with an answer for which the response phase does not run.
pub(super) fn bring_along(verdict: &mut Verdict, memory: &mut Memory) {
    if !matches!(verdict, Verdict::Deny { .. } | Verdict::Refuse { .. }) {
        return;
    }
    let marks = memory.take_marks().into_iter();
    let mut cookies = marks.filter(|(name, _)| *name == SET_COOKIE);
    match verdict {
        Verdict::Deny { reply, .. } if !may_be_shared(reply.headers()) => {
            cookies.for_each(|(name, value)| drop(reply.headers_mut().try_append(name, value)));
        }
        Verdict::Refuse { refusal, .. } => refusal.headers.extend(&mut cookies),
        _ => {}
    }
}

/// Whether caches may give an answer to several clients although it is for one that has said who it is (RFC 9111 §3.5).
fn may_be_shared(lines: &HeaderMap) -> bool {
    let values = lines.get_all(CACHE_CONTROL).iter();
    let mut words = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', '=']))
        .map(str::trim);
    words.any(|word| word.eq_ignore_ascii_case("public") || word.eq_ignore_ascii_case("s-maxage"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lines;

    fn cookies(came: &[(&'static str, &'static str)]) -> Vec<String> {
        let came = lines(came);
        let mut head = Head::of(&came);
        let value = HeaderValue::from_static;
        let limit = HeaderName::from_static("ratelimit-limit");
        set(
            &mut head,
            vec![(SET_COOKIE, value("a=1")), (limit.clone(), value("5"))],
        );
        assert_eq!(head.lines()[limit], "5");
        let all = head.lines().get_all(SET_COOKIE).iter();
        all.map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_cookie_is_added_to_those_of_the_service() {
        assert_eq!(cookies(&[("set-cookie", "b=2")]), ["b=2", "a=1"]);
        assert_eq!(cookies(&[("cache-control", "private, max-age=5")]), ["a=1"]);
    }

    #[test]
    fn what_caches_share_carries_no_cookie_of_ours() {
        for shared in ["public, max-age=60", "s-maxage=60", "max-age=1,PUBLIC"] {
            assert!(cookies(&[("cache-control", shared)]).is_empty(), "{shared}");
        }
    }
}
