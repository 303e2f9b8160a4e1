//! What ties a cookie to the login that has made it, so that it opens nowhere else.

use std::fmt;

use ring::digest::{Context, SHA256, digest};

use super::provider::Client;
use crate::action::Fault;
use crate::canonical::Authority;
use crate::exchange::Exchange;

/// The provider, the client and its secret, and the `auth_id`, as one value.
///
/// Whoever knows the client id alone cannot write a policy that reads another one's sessions: it takes the secret, too.
#[derive(Clone, Copy)]
pub(super) struct Binding([u8; 32]);

impl Binding {
    pub(super) fn of(kind: &str, provider: &str, client: &Client, auth_id: &str) -> Self {
        let secret = digest(&SHA256, client.secret.expose().as_bytes());
        let mut context = Context::new(&SHA256);
        let parts = [
            kind.as_bytes(),
            provider.as_bytes(),
            client.id.as_bytes(),
            secret.as_ref(),
            auth_id.as_bytes(),
        ];
        for part in parts {
            // With its length in front, so that no two rows of parts read alike.
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        let digest = context.finish();
        Self(digest.as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// The context of a cookie for the host of this exchange at its endpoint.
    pub(super) fn at_host(&self, what: &str, exchange: &Exchange<'_>) -> Result<Vec<u8>, Fault> {
        let host = exchange.request()?.authority;
        let id = exchange.endpoint.id;
        Ok([
            what.as_bytes(),
            b"\0",
            &self.0,
            id.as_bytes(),
            b"\0",
            host.as_bytes(),
        ]
        .concat())
    }

    /// The context of a cookie for a domain, if the exchange's host belongs to it.
    pub(super) fn in_domain(
        &self,
        what: &str,
        domain: &str,
        exchange: &Exchange<'_>,
    ) -> Result<Vec<u8>, Fault> {
        let authority = exchange.request()?.authority;
        let host = Authority::parse_borrowed(authority.as_bytes());
        let belongs = host.is_ok_and(|authority| {
            let rest = authority.host.strip_suffix(domain);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        });
        if !belongs {
            return Err(Fault::Other {
                reason: format!("auth_cookie_domain: {domain} is not the domain of {authority}"),
                code: 3313,
            });
        }
        Ok([what.as_bytes(), b" domain\0", &self.0, domain.as_bytes()].concat())
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Binding")
    }
}
