//! Bytes into FFmpeg, read straight into the buffer that it reads from. The wrapper's reader copies all of them once more.

use std::{
    ffi::{c_int, c_void},
    io::{self, SeekFrom},
    ops::Range,
    ptr::NonNull,
};

use ffmpeg_next as ff;

use super::io::Fault;
use crate::{Error, chain::Bytes};

/// Bytes asked of a reader at once.
const BUFFER: usize = 1 << 18;

/// A reader as FFmpeg wants it. What reads through it is to be dropped before.
pub(super) struct ReadIo {
    context: NonNull<ff::ffi::AVIOContext>,
    reading: NonNull<Reading>,
}

/// What FFmpeg's calls come to.
struct Reading {
    reader: Box<dyn Bytes>,
    fault: Fault,
    /// Addresses of the buffer that FFmpeg was given. All of it holds bytes, so a reader may have it as it is.
    buffer: Range<usize>,
    /// For what FFmpeg wants to have elsewhere: a reader may look at what it is to fill, and nothing may be there yet.
    scratch: Vec<u8>,
}

// SAFETY: the reader is `Send`, the two allocations belong to no thread, and they are only reached through `&mut self` of
// what reads, one call at a time.
unsafe impl Send for ReadIo {}

impl ReadIo {
    /// Errors of `reader` are kept in `fault`.
    ///
    /// # Errors
    /// `Limit` for want of memory.
    pub(super) fn new(reader: Box<dyn Bytes>, fault: Fault) -> Result<Self, Error> {
        let seek = reader.is_seekable().then_some(seek as unsafe extern "C" fn(*mut c_void, i64, c_int) -> i64);
        let no_memory = || Error::Limit("out of memory".into());
        // SAFETY: it only allocates.
        let buffer = NonNull::new(unsafe { ff::ffi::av_mallocz(BUFFER) }).ok_or_else(no_memory)?;
        let start = buffer.as_ptr().addr();
        let reading = Reading { reader, fault, buffer: start..start + BUFFER, scratch: Vec::new() };
        let reading = NonNull::from(Box::leak(Box::new(reading)));
        // SAFETY: the context takes the buffer over, and the callbacks are made for what `reading` points to, which is
        // freed after the context. Where there is no context, both are freed here, once.
        unsafe {
            let context = ff::ffi::avio_alloc_context(
                buffer.as_ptr().cast(),
                BUFFER as c_int,
                0,
                reading.as_ptr().cast(),
                Some(read),
                None,
                seek,
            );
            match NonNull::new(context) {
                Some(context) => Ok(Self { context, reading }),
                None => {
                    ff::ffi::av_free(buffer.as_ptr());
                    drop(Box::from_raw(reading.as_ptr()));
                    Err(no_memory())
                }
            }
        }
    }

    /// The context, which stays this one's.
    pub(super) fn as_ptr(&self) -> *mut ff::ffi::AVIOContext {
        self.context.as_ptr()
    }
}

impl Drop for ReadIo {
    fn drop(&mut self) {
        let mut context = self.context.as_ptr();
        // SAFETY: whatever read through the context is gone. Its buffer may be another than it was given; it is whatever
        // the context says, and freed once, as are the context and what its callbacks worked on.
        unsafe {
            ff::ffi::av_freep((&raw mut (*context).buffer).cast());
            ff::ffi::avio_context_free(&mut context);
            drop(Box::from_raw(self.reading.as_ptr()));
        }
    }
}

impl Reading {
    /// Reads into `to`, or by way of the scratch buffer.
    fn read(&mut self, to: NonNull<u8>, size: usize) -> io::Result<usize> {
        let start = to.as_ptr().addr();
        if self.buffer.start <= start && start.saturating_add(size) <= self.buffer.end {
            // SAFETY: FFmpeg says that it may be written to, nobody else reaches it during the call, and it holds bytes.
            let buffer = unsafe { std::slice::from_raw_parts_mut(to.as_ptr(), size) };
            return read_some(&mut *self.reader, buffer);
        }
        if self.scratch.len() < size {
            self.scratch.resize(size, 0);
        }
        let read = read_some(&mut *self.reader, &mut self.scratch[..size])?;
        // SAFETY: FFmpeg says that `size` bytes may be written there, and `read` is no more; the scratch buffer is ours.
        unsafe { std::ptr::copy_nonoverlapping(self.scratch.as_ptr(), to.as_ptr(), read) };
        Ok(read)
    }

    fn seek(&mut self, offset: i64, whence: c_int) -> io::Result<u64> {
        let to = match whence & !ff::ffi::AVSEEK_FORCE {
            ff::ffi::AVSEEK_SIZE => {
                let position = self.reader.stream_position()?;
                let size = self.reader.seek(SeekFrom::End(0))?;
                self.reader.seek(SeekFrom::Start(position))?;
                return Ok(size);
            }
            libc::SEEK_SET => SeekFrom::Start(u64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?),
            libc::SEEK_CUR => SeekFrom::Current(offset),
            libc::SEEK_END => SeekFrom::End(offset),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        self.reader.seek(to)
    }

    /// Keeps an error, and says it as FFmpeg does.
    fn fail(&self, error: &io::Error) -> c_int {
        self.fault.set(error);
        ff::ffi::AVERROR(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

fn read_some(reader: &mut dyn Bytes, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // FFmpeg would believe whatever it is told.
            result => return result.map(|read| read.min(buffer.len())),
        }
    }
}

/// # Safety
/// `opaque` is the [`Reading`] of the context that calls, and `size` bytes may be written to `to`.
unsafe extern "C" fn read(opaque: *mut c_void, to: *mut u8, size: c_int) -> c_int {
    let (Some(to), Ok(length @ 1..)) = (NonNull::new(to), usize::try_from(size)) else {
        return ff::ffi::AVERROR(libc::EINVAL);
    };
    // SAFETY: see above; calls never overlap.
    let reading = unsafe { &mut *opaque.cast::<Reading>() };
    match reading.read(to, length) {
        Ok(0) => ff::ffi::AVERROR_EOF,
        // No more than `size`, which is of this type.
        Ok(read) => read as c_int,
        Err(error) => reading.fail(&error),
    }
}

/// # Safety
/// `opaque` is the [`Reading`] of the context that calls.
unsafe extern "C" fn seek(opaque: *mut c_void, offset: i64, whence: c_int) -> i64 {
    // SAFETY: see above; calls never overlap.
    let reading = unsafe { &mut *opaque.cast::<Reading>() };
    match reading.seek(offset, whence) {
        Ok(position) => i64::try_from(position).unwrap_or(ff::ffi::AVERROR(libc::EOVERFLOW).into()),
        Err(error) => reading.fail(&error).into(),
    }
}
