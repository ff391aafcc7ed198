//! The generated messages, clients and servers of `proto/`. Nothing here is written by hand but this list of modules.
#![allow(missing_docs, clippy::large_enum_variant)]

/// What all jobs share.
pub mod job {
    pub mod v1 {
        tonic::include_proto!("excerpt.job.v1");
    }
}

/// What was recorded when.
pub mod recording {
    pub mod v1 {
        tonic::include_proto!("excerpt.recording.v1");
    }
}

/// Clips and stills of recordings.
pub mod export {
    pub mod v1 {
        tonic::include_proto!("excerpt.export.v1");
    }
}

/// The compiled descriptors of every package, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
