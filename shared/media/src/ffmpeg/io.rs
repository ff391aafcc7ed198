//! Bytes in and out of FFmpeg, and what went wrong with them: libav keeps only an error number.

use std::{
    io::{self, Seek, SeekFrom, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::write_behind::WriteBehind;
use crate::Error;

/// Where the first error of a reader or writer is kept for whoever drives libav.
#[derive(Clone, Default)]
pub(crate) struct Fault(Arc<Mutex<Option<Error>>>);

impl Fault {
    /// Keeps `error`, if it is the first.
    pub(super) fn set(&self, error: &io::Error) {
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

/// A file written from front to back, but for a muxer's corrections at its start.
pub(crate) struct Sink {
    file: Arc<Mutex<WriteBehind>>,
    position: u64,
    /// The end of the file, shared with whoever reports progress.
    pub(crate) length: Arc<AtomicU64>,
    pub(crate) fault: Fault,
}

impl Sink {
    pub(crate) fn new(file: Arc<Mutex<WriteBehind>>) -> Self {
        Self { file, position: 0, length: Arc::default(), fault: Fault::default() }
    }
}

impl Write for Sink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_at(buffer, self.position).inspect_err(|error| self.fault.set(error))?;
        self.position += buffer.len() as u64;
        self.length.fetch_max(self.position, Ordering::Relaxed);
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
