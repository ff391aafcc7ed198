//! What `media` does as a whole, with real files and real child processes.

#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

mod pool;
