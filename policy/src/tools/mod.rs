//! The tools of those who write policies: what `adit policy check`, `explain` and `test` do, without the files.
//!
//! All three work on the real reader and the real engine. [`simulation`] sends one described exchange through a policy;
//! [`mod@explain`] tells what happened, [`case`] compares it with what was expected.

pub mod case;
pub mod check;
pub mod coverage;
pub mod expect;
pub mod explain;
pub mod given;
pub mod paint;
pub mod report;
pub mod run;
pub mod said;
mod shown;
pub mod simulation;
mod stage;
pub mod url;

pub use shown::Secrets;
