//! The one spelling of a host, an authority and a request target; what has none is refused.
//!
//! Routing, policy, logs, redirects and forwarding all read these values and never the raw bytes again, so no two of
//! them can read one request differently. A rewrite ([`Target::rewritten`]) gives a new value that obeys the same rules.
//!
//! How a path gets its one spelling. [`Target::parse`] is what every request meets; [`Target::normalized`] is for
//! endpoints whose operator says `normalize_paths: true`. Both give paths of one and the same form.
//!
//! | in the path | `parse` | `normalized` | why |
//! |---|---|---|---|
//! | `%61`: an escape that nothing needs (RFC 3986 §2.3) | `a` | `a` | both spellings mean the same everywhere |
//! | `%2f`: any other escape | `%2F` | `%2F` | the same; decoded, it would mean something else |
//! | `/./`, `/../` | resolved | resolved | RFC 3986 §5.2.4: every client would have done it |
//! | `..` above the root | refused | stays at the root | nobody means it |
//! | `//`, an empty segment before the last | refused | one `/` | half of the services read `//admin` as `/admin` and half do not; no spelling is right for both, so merging must be the operator's wish |
//! | `\`, `%5C` | refused | `/` | some services take it for `/` |
//! | `%2e%2e`, `..%2f`, `%2f..`: dots that decoding lays bare | refused | decoded and resolved | whoever decodes before it splits sees another path |
//! | `..;x`, `/;x/`: dots or nothing before a parameter | refused | the parameter goes, then as above | some services cut parameters off before they resolve |
//! | `%2F` in another segment | stays data | stays data | `/get/a%2Fb` names one thing |
//! | `;x` behind a name, or alone at the end | stays data | stays data | a rule about `/admin` that protects such a service says so |
//! | `%25`, and so `%252e` | stays | stays | decoded once and never twice |
//! | `%00`, `%0A`, `%0D` | refused | refused | whoever decodes them has a name cut short or a line split in two |
//! | `%`, `%4`, `%zz`: no escape | refused | refused | every decoder repairs it in its own way |
//! | control bytes, space, `#`, bytes beyond ASCII | refused | refused | they must come as escapes (RFC 3986 §2.1) |
//!
//! A query is text of the service's own: it stays as it came, and only the bytes of the last row are refused.
//! [`query_pairs`] reads it as a form. A host is lower case, in punycode, without the last dot; an address has one
//! spelling; user information before a host is refused.

mod authority;
mod host;
#[cfg(test)]
mod laws;
mod path;
pub mod percent;
mod query;
mod target;

pub use authority::{Authority, AuthorityRef, BadAuthority};
pub use host::{BadHost, Host};
pub use query::query_pairs;
pub use target::{AbsoluteForm, BadTarget, Target, TargetBuf};
