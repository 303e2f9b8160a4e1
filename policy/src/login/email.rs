//! The one spelling of an e-mail address, so that a rule about its domain cannot be talked round.

use crate::canonical::Host;

/// Longest address in bytes (RFC 5321 §4.5.3.1.3).
const LENGTH_MAX: usize = 254;

/// The address with its domain in lower case and without a last dot; `None` if it is none, if it can be read in two ways,
/// or if its domain is not ASCII: letters of other scripts look like others.
pub(super) fn canonical(text: &str) -> Option<String> {
    let (local, domain) = text.split_once('@')?;
    let is_plain = |c: char| {
        !c.is_control()
            && !c.is_whitespace()
            && !matches!(
                c,
                '"' | '@' | '<' | '>' | ',' | ';' | ':' | '\\' | '(' | ')'
            )
    };
    let is_sound = !local.is_empty() && local.chars().all(is_plain) && text.len() <= LENGTH_MAX;
    if !is_sound || !domain.is_ascii() {
        return None;
    }
    let host = Host::parse(domain).ok()?;
    (!host.is_address()).then(|| format!("{local}@{host}"))
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn a37_a_an_address_has_one_at_sign() {
        for text in [
            "a@corp.com@evil.com",
            "a",
            "@corp.com",
            "a@",
            "a@@corp.com",
            "\"a@corp.com\"@evil.com",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    #[test]
    fn a37_b_another_domain_stays_another() {
        assert_eq!(canonical("a@evilcorp.com").unwrap(), "a@evilcorp.com");
        assert!(!canonical("a@evilcorp.com").unwrap().ends_with("@corp.com"));
    }

    #[test]
    fn a37_d_a_domain_that_only_looks_the_same_is_left_out() {
        assert_eq!(canonical("a@c\u{43e}rp.com"), None);
        assert_eq!(canonical("a@corp\u{ff0e}com"), None);
        assert_eq!(canonical("a@xn--crp-tdd.com").unwrap(), "a@xn--crp-tdd.com");
    }

    #[test]
    fn a37_e_case_and_last_dot_do_not_matter() {
        for text in ["Ann@corp.com", "Ann@CORP.com", "Ann@Corp.Com."] {
            assert_eq!(canonical(text).unwrap(), "Ann@corp.com");
        }
        for text in [
            "a b@corp.com",
            "a@corp .com",
            "a\n@corp.com",
            "a@corp..com",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
