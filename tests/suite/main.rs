//! What users do with the suite, and what happens to it: a file for each story. All of them drive the real `excerpt serve`
//! from outside, and look into the files that come out with other programs than the suite's own.
#![allow(clippy::unwrap_used, reason = "what is not there fails the test")]

mod accounts;
mod buckets;
mod copied;
mod coverage;
mod crowd;
mod damage;
mod durable;
mod exact;
mod folders;
mod growing;
mod grpc;
mod hostile;
mod matrix;
mod policies;
mod reflection;
mod samples;
mod tvu;
