//! What a verb needs from the process it runs in.

use std::{fs::File, io, os::unix::fs::FileExt};

use crate::{Error, Progress};

/// What a verb needs from the process it runs in. `worker` implements it over the socket to the parent.
pub(crate) trait Host: Send + Sync {
    /// Opens a source for reading. `Error::Io` names the source if that fails.
    fn open(&self, source: u32) -> Result<Box<dyn Source>, Error>;

    /// The file to write to: empty, readable and writable.
    fn output(&self) -> Result<File, Error>;

    /// Says how far the work is. Cheap enough to call per packet: it sends at most a few messages a second.
    ///
    /// # Errors
    /// `Error::Cancelled` if the caller wants the work to stop.
    fn report(&self, progress: Progress) -> Result<(), Error>;
}

/// A source, open. Its bytes may be far away: what isn't read is never fetched.
pub(crate) trait Source: Send + Sync {
    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads from `offset` on, as much as is at hand at once; nothing only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for File {
    fn size(&self) -> io::Result<u64> {
        // Not `metadata`: a child may look at what it was given only, and `statx` takes a path.
        Ok(rustix::fs::fstat(self)?.st_size.unsigned_abs())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// Reads all of `buffer`, from `offset` on.
///
/// # Errors
/// `UnexpectedEof` if the source ends before.
pub(crate) fn read_exact_at(source: &dyn Source, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = source.read_at(buffer, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
        offset += read as u64;
    }
    Ok(())
}
