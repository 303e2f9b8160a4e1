//! The `api:` block.

use serde::Deserialize;

use crate::token::TokenHash;

/// Who may use the admin API, besides the user that the gateway runs as.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Of a token that `adit gateway token --api` has made. Default: none.
    pub token_hash: Option<TokenHash>,
}
