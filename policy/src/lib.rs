//! Adit's policy engine.
pub mod action;
pub mod actions;
pub mod canonical;
mod config;
pub mod document;
pub mod endpoint_url;
mod engine;
pub mod env;
pub mod exchange;
pub mod go_duration;
mod mistake;
mod nearest;
pub mod secret;
pub mod size;
mod survey;
pub mod verdict;

pub use engine::{BuildError, LoadError, Policy};
