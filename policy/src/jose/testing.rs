//! Tokens and providers for tests.
