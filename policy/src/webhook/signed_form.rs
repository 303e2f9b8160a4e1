//! Twilio and Mailchimp: the URL and the sorted fields of the form are signed.

use std::borrow::Cow;

use ring::digest::{SHA256, digest};

use super::form::{self, Pair};
use super::mac::{Encoding, Hash, Mac, from_hex};
use super::{Incoming, Provider, Unverified, malformed, not_empty, required};

/// Twilio's `X-Twilio-Signature`. A body that is no form is covered by `bodySHA256` in the signed URL.
#[derive(Debug)]
pub(super) struct Twilio;

/// `X-Mandrill-Signature`: Mailchimp Transactional, once Mandrill. Mailchimp's other webhooks are not signed at all.
#[derive(Debug)]
pub(super) struct Mailchimp;

impl Provider for Twilio {
    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        let fields = match body_hash(incoming.url) {
            None => fields(incoming)?,
            Some(said) => {
                let hash = digest(&SHA256, incoming.body);
                if from_hex(&said, &mut [0; 32]) != Some(hash.as_ref()) {
                    return Err(Unverified::Differs);
                }
                Vec::new()
            }
        };
        let header = "x-twilio-signature";
        let other = with_or_without_port(incoming.url);
        match verify(header, secret, incoming.url, &fields, incoming) {
            Err(Unverified::Differs) => match &other {
                Some(url) => verify(header, secret, url, &fields, incoming),
                None => Err(Unverified::Differs),
            },
            result => result,
        }
    }
}

impl Provider for Mailchimp {
    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        let fields = fields(incoming)?;
        verify(
            "x-mandrill-signature",
            secret,
            incoming.url,
            &fields,
            incoming,
        )
    }
}

fn verify(
    header: &'static str,
    secret: &str,
    url: &str,
    fields: &[Pair<'_>],
    incoming: &Incoming<'_>,
) -> Result<(), Unverified> {
    not_empty(secret)?;
    let signature = required(incoming, header)?;
    let mut mac = Mac::new(Hash::Sha1, secret.as_bytes());
    mac.add(url);
    for (name, value) in fields {
        mac.add(name);
        mac.add(value);
    }
    mac.finish().check(signature, Encoding::Base64, || {
        malformed(header, "a signature in base64")
    })
}

/// The form's fields as they are signed: sorted, and each pair once.
fn fields<'a>(incoming: &Incoming<'a>) -> Result<Vec<Pair<'a>>, Unverified> {
    let mut fields = form::body(incoming)?;
    fields.sort_unstable();
    fields.dedup();
    Ok(fields)
}

/// What the URL says the body's hash is.
fn body_hash(url: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let pairs = form::pairs(query.as_bytes());
    let (_, value) = pairs.iter().find(|(name, _)| &**name == b"bodySHA256")?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Twilio leaves the port out where it is there, and puts it in where it is not, depending on product and scheme; its own
/// libraries try both.
fn with_or_without_port(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let authority = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Cow::Borrowed(host),
        _ => match scheme {
            "https" => format!("{authority}:443").into(),
            "http" => format!("{authority}:80").into(),
            _ => return None,
        },
    };
    Some(format!("{scheme}://{authority}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_put_in_or_left_out() {
        for (url, other) in [
            (
                "https://a.example/b?c=http://d:1/",
                Some("https://a.example:443/b?c=http://d:1/"),
            ),
            ("https://a.example:8443/b", Some("https://a.example/b")),
            ("http://a.example?b", Some("http://a.example:80?b")),
            ("http://[::1]/", Some("http://[::1]:80/")),
            ("http://[::1]:8080/", Some("http://[::1]/")),
            ("ftp://a.example/", None),
            ("a.example", None),
        ] {
            assert_eq!(with_or_without_port(url).as_deref(), other, "{url}");
        }
    }
}
