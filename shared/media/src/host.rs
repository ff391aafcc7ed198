//! What a verb needs from the process it runs in.

use std::fs::File;

use crate::{Error, Progress};

/// What a verb needs from the process it runs in. `worker` implements it over the socket to the parent.
pub(crate) trait Host: Send + Sync {
    /// Opens a source for reading, positioned anywhere. `Error::Io` names the source if that fails.
    fn open(&self, source: u32) -> Result<File, Error>;

    /// The file to write to: empty, readable and writable.
    fn output(&self) -> Result<File, Error>;

    /// Says how far the work is. Cheap enough to call per packet: it sends at most a few messages a second.
    ///
    /// # Errors
    /// `Error::Cancelled` if the caller wants the work to stop.
    fn report(&self, progress: Progress) -> Result<(), Error>;
}
