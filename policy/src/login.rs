//! People who sign in at a provider: the flow, its cookies, and the session that comes of it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`provider`] | what a provider is asked, whatever protocol it speaks |

pub(crate) mod provider;
