//! Pieces of sources, read as if they were one file.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
};

use crate::{
    Error, Part, Piece,
    host::{Host, Source, read_exact_at},
};

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
    /// Whether each piece must be whole boxes (ISO/IEC 14496-12 §4.2): where one is cut short, a demuxer would take the
    /// bytes of the next for its media.
    boxed: bool,
}

struct Open {
    source: Box<dyn Source>,
    start: u64,
    position: u64,
    end: u64,
}

impl Chain {
    pub(crate) fn new(host: Arc<dyn Host>, pieces: Vec<Piece>) -> Self {
        Self { host, pieces, current: None, next: 0, boxed: false }
    }

    /// The bytes of `part`: its init segment, then its segments.
    pub(crate) fn of_part(host: Arc<dyn Host>, part: &Part) -> Self {
        let pieces = part.init.into_iter().chain(part.segments.iter().map(|segment| segment.piece)).collect();
        Self { boxed: part.init.is_some(), ..Self::new(host, pieces) }
    }

    fn open(&self, piece: Piece) -> io::Result<Open> {
        let damaged = |problem: String| {
            io::Error::other(Error::Damaged { source_index: piece.source, offset: piece.offset, problem })
        };
        let source = self.host.open(piece.source).map_err(|error| match error {
            Error::Damaged { problem, .. } => damaged(problem),
            other => io::Error::other(other),
        })?;
        let size = source.size()?;
        let end = piece.length.map_or(Some(size), |length| piece.offset.checked_add(length));
        match end {
            Some(end) if piece.offset < end && end <= size => {
                if self.boxed && !ends_with_a_box(&*source, piece.offset, end)? {
                    return Err(damaged("it is damaged, or cut short: its last box is not whole".into()));
                }
                Ok(Open { source, start: piece.offset, position: piece.offset, end })
            }
            _ if size == 0 => Err(damaged("it is empty".into())),
            _ => Err(damaged(format!(
                "it ends at byte {size}, before the segment that begins at byte {} does",
                piece.offset
            ))),
        }
    }
}

/// Whether the bytes from `start` to `end` are boxes, the last of them whole.
fn ends_with_a_box(source: &dyn Source, start: u64, end: u64) -> io::Result<bool> {
    /// More boxes than any segment has; what claims more isn't worth reading.
    const MAX_BOXES: usize = 10_000;
    let mut position = start;
    for _ in 0..MAX_BOXES {
        if position == end {
            return Ok(true);
        }
        let mut header = [0; 16];
        let known = usize::try_from(end - position).unwrap_or(usize::MAX).min(header.len());
        read_exact_at(source, &mut header[..known], position)?;
        let word =
            |at: usize| u64::from(u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]));
        let size = match word(0) {
            // To the end of the file.
            0 => return Ok(true),
            1 => word(8) << 32 | word(12),
            size => size,
        };
        match position.checked_add(size) {
            Some(next) if size >= 8 && next <= end => position = next,
            _ => return Ok(false),
        }
    }
    Ok(false)
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
                let read = open.source.read_at(&mut buffer[..wanted], open.position)?;
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
