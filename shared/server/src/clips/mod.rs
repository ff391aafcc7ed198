//! Clips: what the services share that cut pieces out of recordings. A service says which range of which recording, and
//! what is to be made of it; finding it, planning it, cutting it in a media process, and publishing the files under the
//! rules of a job's attempt is here. What a request means, and what it is answered with, is the service's own.
//!
//! ```text
//! source.rs    from a recording and a range to tasks for `media`, one for each file
//! gaps.rs      what is missing, and what is to become of it
//! listing.rs   which recordings there are, and what of each; page.rs: their page tokens
//! ask.rs       what a caller waits for: a plan, a picture
//! attempt.rs   one attempt of a job: cut, stage, publish, discard
//! failure.rs   whose fault it is when that fails
//! ```
//!
//! A runner is then a few lines:
//!
//! ```text
//! let located = clips::blocking(&suite, move |suite| {
//!     let recording = clips::recording(suite, uid, None, None)?;
//!     clips::locate(suite, &recording, ClipTask { container, ..ClipTask::new(Input::default(), range) }, gap_policy)
//! }).await.map_err(clips::source_failure)?;
//! let folder = clips::attempt_folder(attempt);
//! let made = clips::make(&suite, attempt, Making { located, name, storage: &suite.shared.storage, folder }).await?;
//! clips::outcome_value(&MyOutcome { files: made.files, … })
//! ```

mod ask;
mod attempt;
mod failure;
mod gaps;
mod listing;
mod page;
mod source;

pub use ask::{plan, quick, thumbnail};
pub use attempt::{
    AttemptControl, Made, MadeFile, Making, attempt_folder, discard, limits, make, object_key, outcome_value, request,
    run_task, unexpected,
};
pub use failure::{media_failure, source_failure, storage_failure};
pub use gaps::{Gap, GapCause, GapPolicy, merged};
pub use listing::{CoveragePage, CoverageQuery, SourcesPage, coverage, sources};
pub use source::{Located, MAX_FILES, blocking, file_names, locate, prober, recording};
