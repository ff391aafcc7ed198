//! The queue on real databases, one for each test.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, and says where")]

mod cancel;
mod claim;
mod drain;
mod fixture;
mod limits;
mod list;
mod model;
mod recover;
mod retry;
mod submit;
mod sweep;
mod watch;
