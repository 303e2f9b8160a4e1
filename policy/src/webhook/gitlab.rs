//! GitLab: the secret itself, in a header. Nothing is signed, so this proves who sends and not what.

use super::mac::same;
use super::{Incoming, Provider, Unverified, not_empty, required};

/// GitLab's `X-Gitlab-Token`.
#[derive(Debug)]
pub(super) struct Gitlab;

impl Provider for Gitlab {
    fn verify(&self, secret: &str, incoming: &Incoming<'_>) -> Result<(), Unverified> {
        not_empty(secret)?;
        let token = required(incoming, "x-gitlab-token")?;
        if same(token.as_bytes(), secret.as_bytes()) {
            return Ok(());
        }
        Err(Unverified::Differs)
    }
}
