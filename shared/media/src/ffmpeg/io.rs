//! Bytes in and out of FFmpeg, and what went wrong with them: libav keeps only an error number.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::{fd::AsRawFd, unix::fs::FileExt},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{Error, digest::RunningDigest};

/// Where the first error of a reader or writer is kept for whoever drives libav.
#[derive(Clone, Default)]
pub(crate) struct Fault(Arc<Mutex<Option<Error>>>);

impl Fault {
    fn set(&self, error: &io::Error) {
        let meaning = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => error.clone(),
            None if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge) => Error::NoSpace,
            None => Error::Io(error.to_string()),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(meaning);
    }

    /// The first error, if there was one; else `otherwise`.
    pub(crate) fn explain(&self, otherwise: Error) -> Error {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(otherwise)
    }
}

/// A reader that remembers why it failed.
pub(crate) struct Source<R> {
    pub(crate) inner: R,
    pub(crate) fault: Fault,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|error| self.fault.set(error))
    }
}

impl<R: Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to).inspect_err(|error| self.fault.set(error))
    }
}

/// A file written from front to back, but for a muxer's corrections at its start.
pub(crate) struct Sink {
    file: File,
    position: u64,
    /// The hash of what is written, where it is worth having at once.
    digest: Option<Arc<Mutex<RunningDigest>>>,
    /// Up to here the disk has been asked to write.
    started: u64,
    /// The end of the file, shared with whoever reports progress.
    pub(crate) length: Arc<AtomicU64>,
    pub(crate) fault: Fault,
}

impl Sink {
    pub(crate) fn new(file: File, digest: Option<Arc<Mutex<RunningDigest>>>) -> Self {
        Self { file, position: 0, digest, started: 0, length: Arc::default(), fault: Fault::default() }
    }
}

impl Sink {
    /// Has the disk begin with what is finished, so that syncing at the end finds little left to do.
    fn start_writing(&mut self) {
        const STEP: u64 = 8 << 20;
        while self.position >= self.started + 2 * STEP {
            // SAFETY: the descriptor is open, and the call only reads numbers. It is a hint: whether it succeeds makes no
            // difference to what is synced later.
            unsafe {
                libc::sync_file_range(
                    self.file.as_raw_fd(),
                    self.started as i64,
                    STEP as i64,
                    libc::SYNC_FILE_RANGE_WRITE,
                )
            };
            self.started += STEP;
        }
    }
}

impl Write for Sink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(buffer, self.position).inspect_err(|error| self.fault.set(error))?;
        if let Some(digest) = &self.digest {
            digest.lock().unwrap_or_else(PoisonError::into_inner).take(self.position, buffer);
        }
        self.position += buffer.len() as u64;
        self.length.fetch_max(self.position, Ordering::Relaxed);
        self.start_writing();
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.length.load(Ordering::Relaxed).checked_add_signed(offset),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
