//! A reference, as `../a?b`, as seen from a request's URL (RFC 3986 §5.2).

use crate::exchange::Request;

/// The URL that a reference means.
pub(super) fn resolved(reference: &str, request: &Request<'_>) -> String {
    let (scheme, authority) = (request.scheme, request.authority);
    let here = request.target.path();
    match reference.chars().next() {
        _ if has_scheme(reference) => reference.to_owned(),
        Some('/') if reference.starts_with("//") => format!("{scheme}:{reference}"),
        Some('/') => format!("{scheme}://{authority}{}", without_dots(reference)),
        Some('?') => format!("{scheme}://{authority}{here}{reference}"),
        Some('#') | None => format!("{}{reference}", request.url()),
        Some(_) => {
            let (folder, _) = here.rsplit_once('/').unwrap_or_default();
            let path = format!("{folder}/{reference}");
            format!("{scheme}://{authority}{}", without_dots(&path))
        }
    }
}

fn has_scheme(reference: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_part)
    })
}

/// A path with its `.` and `..` resolved, and what stands behind it.
fn without_dots(reference: &str) -> String {
    let end = reference.find(['?', '#']).unwrap_or(reference.len());
    let (path, behind) = reference.split_at(end);
    let mut segments = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    segments.pop();
                }
                if is_last {
                    segments.push("");
                }
            }
            part => segments.push(part),
        }
    }
    format!("/{}{behind}", segments.join("/"))
}
