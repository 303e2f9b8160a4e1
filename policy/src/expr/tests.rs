//! The language as a whole.

mod absence;
mod bounds;
mod language;
mod laws;
mod mistakes;
mod secrets;
