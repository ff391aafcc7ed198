//! What was recorded when: for a source and a range, which segments, from where to where, with which gaps.
//!
//! Synchronous, and it opens nothing but files of its library. It parses manifests, never media: what a manifest says
//! about time is taken as said, and what it says about places is followed only inside the library. A range of a
//! recording becomes a [`media::Input`], which `media` reads. It doesn't look whether the segments are there: their
//! reader will. Only the live edge of DASH segments that are addressed by number alone is told by nothing else.
//!
//! ```text
//! library.rs     a folder opened once; what it keeps between two looks is in cache.rs
//! store.rs       where its files are; local.rs: beneath a local folder; bucket.rs: below a prefix in S3
//! shelf.rs       what is remembered of media files; boxes.rs: how far one has been written
//! name.rs        uids, and the URIs that manifests hold
//! hls/  dash/  file.rs     the layouts that become sections of tracks
//! track.rs       a rendition: segments found by index or by time, and the stretches without a gap in them
//! join.rs        spans: where the stretches of video and audio meet
//! timeline.rs    the spans of a manifest, and the look-up
//! folder/        folders of time-stamped files
//! recording.rs   a recording, whatever its layout; coverage.rs: what of it there is
//! sources.rs     what recordings a library has
//! ```
//!
//! A new layout is a new reader beside those, and a new `track::Segments`.

mod boxes;
mod bucket;
mod cache;
mod coverage;
mod dash;
mod error;
mod file;
mod folder;
mod hls;
mod join;
mod library;
mod local;
mod name;
mod recording;
mod shelf;
mod sidecar;
mod sniff;
mod sources;
mod store;
mod timeline;
mod track;
mod when;

pub use coverage::{Coverage, Gap, Notice, Reason};
pub use error::Error;
pub use library::{Library, LibraryOptions, Probe, RecordingOptions};
pub use recording::{Recording, Selection};
pub use sources::{Layout, Source, SourcePage};
pub use store::{Entry, Identity, Store, Version};

/// The most segments that one rendition may have: 46 days of two-second segments.
const MAX_SEGMENTS: usize = 2_000_000;

/// The largest manifest that is read, in bytes: a month of two-second HLS segments with a date on each takes 110 MiB.
const MAX_MANIFEST_BYTES: u64 = 128 << 20;

/// How far two statements of a manifest about the same instant may be apart and still agree, in nanoseconds: half a
/// frame at 25 frames a second. Dates are rounded to milliseconds, durations often too; a frame that is missing is
/// more.
const TOLERANCE: i64 = 20_000_000;
