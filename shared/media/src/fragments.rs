//! Where the fragments of an MP4 are (ISO/IEC 14496-12 §8.8): what comes last tells how long it is.

use std::{collections::VecDeque, io, sync::Arc};

use crate::{
    Error, Piece,
    host::{Host, Source, read_exact_at},
};

/// The most boxes that are looked at: those of a day of fragments of a second each, and as many again.
const MAX_BOXES: usize = 400_000;
/// So many fragments at the end hold one of each track: writers that don't mix tracks in one take turns.
const LAST: usize = 4;

/// The header of an MP4, and its last fragments. `None` if it isn't made of fragments, or of too many.
///
/// # Errors
/// `Io` if it can't be read.
pub(crate) fn last_fragments(host: &Arc<dyn Host>, piece: Piece) -> Result<Option<[Piece; 2]>, Error> {
    let source = host.open(piece.source)?;
    let found = walk(&*source, piece).map_err(|error| Error::Io(error.to_string()))?;
    Ok(found.map(|Found { header_end, last, end }| {
        let upto = |offset, end| Piece { offset, length: Some(end - offset), ..piece };
        [upto(piece.offset, header_end), upto(last, end)]
    }))
}

struct Found {
    header_end: u64,
    last: u64,
    end: u64,
}

fn walk(source: &dyn Source, piece: Piece) -> io::Result<Option<Found>> {
    let size = source.size()?;
    let end = piece.length.and_then(|length| piece.offset.checked_add(length)).map_or(size, |end| end.min(size));
    let (mut at, mut header_end, mut last) = (piece.offset, None, VecDeque::new());
    for _ in 0..MAX_BOXES {
        // Whatever follows the last whole box, there is no more of it.
        let Some((kind, next)) = box_at(source, at, end)? else {
            let found = header_end.zip(last.front().copied());
            return Ok(found.map(|(header_end, last)| Found { header_end, last, end: at }));
        };
        match &kind {
            b"moov" => header_end = Some(next),
            b"moof" => {
                last.push_back(at);
                if last.len() > LAST {
                    last.pop_front();
                }
            }
            _ => {}
        }
        at = next;
    }
    Ok(None)
}

/// The type of the box at `at`, and where it ends; `None` if it isn't whole.
fn box_at(source: &dyn Source, at: u64, end: u64) -> io::Result<Option<([u8; 4], u64)>> {
    let mut header = [0; 16];
    let known = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(header.len());
    read_exact_at(source, &mut header[..known], at)?;
    let [a, b, c, d, k0, k1, k2, k3, large @ ..] = header;
    let size = match u32::from_be_bytes([a, b, c, d]) {
        // To the end of the file (§4.2).
        0 => end.saturating_sub(at),
        1 => u64::from_be_bytes(large),
        size => size.into(),
    };
    let next = at.checked_add(size).filter(|next| size >= 8 && *next <= end);
    Ok(next.map(|next| ([k0, k1, k2, k3], next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Memory(Vec<u8>);

    impl Source for Memory {
        fn size(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let rest = self.0.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
    }

    fn boxed(kind: &str, content: usize) -> Vec<u8> {
        [&((content + 8) as u32).to_be_bytes()[..], kind.as_bytes(), &vec![0; content]].concat()
    }

    fn check(bytes: Vec<u8>, expected: Option<(u64, u64, u64)>) {
        let piece = Piece { source: 0, offset: 0, length: None };
        let found = walk(&Memory(bytes), piece).expect("readable");
        assert_eq!(found.map(|Found { header_end, last, end }| (header_end, last, end)), expected);
    }

    #[test]
    fn the_last_fragments_are_found_whatever_follows() {
        let head = [boxed("ftyp", 8), boxed("moov", 84), boxed("sidx", 12)].concat();
        let fragment = [boxed("moof", 20), boxed("mdat", 50)].concat();
        let files = |count: usize| [head.clone(), fragment.repeat(count)].concat();
        check(files(0), None);
        check(files(1), Some((108, 128, 214)));
        check(files(9), Some((108, 128 + 5 * 86, 128 + 9 * 86)));
        check([files(2), boxed("mfra", 4)].concat(), Some((108, 128, 312)));
        check([files(1), vec![0; 7]].concat(), Some((108, 128, 214)));
        check(
            [files(1), vec![0, 0, 0, 4, b'm', b'o', b'o', b'f', 0, 0, 0, 0, 0, 0, 0, 0]].concat(),
            Some((108, 128, 214)),
        );
        check(boxed("mdat", 50), None);
    }
}
