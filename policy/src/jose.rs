//! Signed tokens (RFC 7515, RFC 7519), and the keys that providers publish for them (RFC 7517).
//!
//! | module | what it holds |
//! |---|---|
//! | [`algorithm`] | the algorithms that may be allowed |
//! | [`token`] | a token taken apart, and whether its signature is right |
//! | [`claims`] | whether a token's time has come and not passed, and whom it is meant for |
//! | [`key`], [`key_set`] | public keys: what each can verify, and all that a provider publishes |
//! | [`jwks`], [`discovery`] | a provider's keys and its description of itself, kept and renewed |
//! | [`published`] | how what providers publish is kept and renewed |
//! | `document` | how it is fetched |
//! | [`identity_url`] | the URLs at which providers publish |
//! | [`strict_json`] | JSON in which no name stands twice |
//! | `crypto` | `ring` behind `jsonwebtoken` |
//!
//! A key's own type says which algorithms can be tried with it, the policy says which are allowed, and the token's word
//! only chooses among what is left. Keys come from the URLs that a policy names and from nowhere else: the `jku`, `x5u`,
//! `jwk` and `x5c` of a token are never looked at.

pub(crate) mod algorithm;
pub(crate) mod claims;
mod crypto;
pub(crate) mod discovery;
mod document;
pub(crate) mod identity_url;
pub(crate) mod jwks;
pub(crate) mod key;
pub(crate) mod key_set;
pub(crate) mod published;
pub(crate) mod strict_json;
pub(crate) mod token;

#[cfg(test)]
pub(crate) mod testing;
