//! Pieces of sources, read as if they were one file.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    sync::Arc,
};

use crate::{Error, Part, Piece, host::Host};

/// What a demuxer reads.
pub(crate) trait Bytes: Read + Seek + Send {
    /// Whether it can be read out of order.
    fn is_seekable(&self) -> bool;
}

impl Bytes for File {
    fn is_seekable(&self) -> bool {
        true
    }
}

/// Pieces of sources, read as if they were one file. A source is opened when its turn comes, and only one is open at a
/// time: a day of two-second segments takes no more descriptors than one file.
pub(crate) struct Chain {
    host: Arc<dyn Host>,
    pieces: Vec<Piece>,
    current: Option<Open>,
    /// The piece to open next.
    next: usize,
}

struct Open {
    file: File,
    start: u64,
    position: u64,
    end: u64,
}

impl Chain {
    pub(crate) fn new(host: Arc<dyn Host>, pieces: Vec<Piece>) -> Self {
        Self { host, pieces, current: None, next: 0 }
    }

    /// The bytes of `part`: its init segment, then its segments.
    pub(crate) fn of_part(host: Arc<dyn Host>, part: &Part) -> Self {
        let pieces = part.init.into_iter().chain(part.segments.iter().map(|segment| segment.piece)).collect();
        Self::new(host, pieces)
    }

    fn open(&self, piece: Piece) -> io::Result<Open> {
        let file = self.host.open(piece.source).map_err(io::Error::other)?;
        // Not `metadata`: a child may look at what it was given only, and `statx` takes a path.
        let size = rustix::fs::fstat(&file)?.st_size.unsigned_abs();
        let end = piece.length.map_or(Some(size), |length| piece.offset.checked_add(length));
        match end {
            Some(end) if piece.offset <= end && end <= size => {
                Ok(Open { file, start: piece.offset, position: piece.offset, end })
            }
            _ => Err(io::Error::other(Error::Unusable(format!(
                "a source ends at byte {size}, before the end of the segment that the manifest places at byte {}",
                piece.offset
            )))),
        }
    }
}

impl Bytes for Chain {
    /// Only a single piece can be read out of order: the sizes of others aren't known until they are opened.
    fn is_seekable(&self) -> bool {
        self.pieces.len() == 1
    }
}

impl Read for Chain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(open) = &mut self.current {
                let wanted = buffer.len().min(usize::try_from(open.end - open.position).unwrap_or(usize::MAX));
                let read = open.file.read_at(&mut buffer[..wanted], open.position)?;
                open.position += read as u64;
                if read > 0 || buffer.is_empty() || self.pieces.len() == 1 {
                    return Ok(read);
                }
            }
            let Some(piece) = self.pieces.get(self.next) else { return Ok(0) };
            self.current = Some(self.open(*piece)?);
            self.next += 1;
        }
    }
}

impl Seek for Chain {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if self.current.is_none() {
            self.current = self.pieces.first().map(|piece| self.open(*piece)).transpose()?;
            self.next = 1;
        }
        let Some(open) = self.current.as_mut().filter(|_| self.pieces.len() == 1) else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let target = match to {
            SeekFrom::Start(position) => i128::from(open.start) + i128::from(position),
            SeekFrom::End(offset) => i128::from(open.end) + i128::from(offset),
            SeekFrom::Current(offset) => i128::from(open.position) + i128::from(offset),
        };
        let target = u64::try_from(target).ok().filter(|target| *target >= open.start);
        open.position = target.ok_or(io::ErrorKind::InvalidInput)?.min(open.end);
        Ok(open.position - open.start)
    }
}
