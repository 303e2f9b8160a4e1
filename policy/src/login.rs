//! People who sign in at a provider: the flow, its cookies, and the session that comes of it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`provider`] | what a provider is asked, whatever protocol it speaks |
//! | [`oidc`] | a provider that speaks OpenID Connect |
//! | [`code_flow`] | authorization URLs, and tokens for codes |
//! | [`web`] | how providers are asked over HTTP |

mod code_flow;
mod oidc;
mod person;
pub(crate) mod provider;
#[cfg(test)]
mod testing;
mod token_answer;
mod web;
