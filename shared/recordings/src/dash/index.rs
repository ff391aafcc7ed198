//! The segment index of a file (ISO/IEC 14496-12 §8.16.3): where in it which time is.

use std::ops::Range;

use super::mpd::Entry;
use crate::{Error, MAX_SEGMENTS};

/// The most bytes of indexes of one file: a day of segments of half a second takes 2 MiB.
const MAX_BYTES: u64 = 32 << 20;

/// How deep indexes may point to indexes.
const MAX_DEPTH: usize = 4;

/// The most indexes of one file.
const MAX_INDEXES: usize = 10_000;

/// The segments of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// Ticks in a second, more than 0.
    pub(super) timescale: u32,
    /// When they are.
    pub(super) entries: Vec<Entry>,
    /// Where they are: the first byte, and how many.
    pub(super) pieces: Vec<(u64, u32)>,
}

/// What an index refers to: bytes that come after it.
struct Reference {
    is_index: bool,
    size: u32,
    duration: u32,
}

/// One `sidx` box.
struct Sidx {
    timescale: u32,
    time: u64,
    /// Where the first reference points to, from the end of the box.
    first_offset: u64,
    /// Its own length.
    size: u64,
    references: Vec<Reference>,
}

/// Reads the index in `range` of a file, and those that it points to. `bytes` reads the file; `wrong` makes an error of a
/// reason.
pub(super) fn read(
    range: Range<u64>,
    bytes: &dyn Fn(Range<u64>) -> Result<Vec<u8>, Error>,
    wrong: &dyn Fn(&str) -> Error,
) -> Result<Index, Error> {
    let mut index = Index::default();
    let (mut read, mut count) = (0_u64, 0);
    // Depth first, so that segments come in order: each is a range, and how deep it is.
    let mut waiting = vec![(range, 0)];
    while let Some((range, depth)) = waiting.pop() {
        count += 1;
        read = read.saturating_add(range.end.saturating_sub(range.start));
        if read > MAX_BYTES || count > MAX_INDEXES || depth > MAX_DEPTH {
            return Err(wrong("has an index of more than 32 MiB, 10,000 parts or 4 levels"));
        }
        let sidx = parse(&bytes(range.clone())?).ok_or_else(|| wrong("has an index that is not a whole sidx box"))?;
        if sidx.timescale == 0 || index.timescale != 0 && index.timescale != sidx.timescale {
            return Err(wrong("has an index with a timescale of 0, or with several"));
        }
        index.timescale = sidx.timescale;
        let beyond = || wrong("has an index that points beyond all files");
        let start = range.start.checked_add(sidx.size).and_then(|end| end.checked_add(sidx.first_offset));
        let (mut offset, mut time) = (start.ok_or_else(beyond)?, sidx.time);
        let mut below = Vec::new();
        for reference in &sidx.references {
            let next = offset.checked_add(reference.size.into()).ok_or_else(beyond)?;
            match reference.is_index {
                true => below.push((offset..next, depth + 1)),
                // What lies behind an index below would have to wait for it.
                false if !below.is_empty() => return Err(wrong("has an index of segments and of indexes")),
                false => {
                    let duration = reference.duration.into();
                    index.entries.push(Entry { time: Some(time), duration, repeat: 0, sequence: None });
                    index.pieces.push((offset, reference.size));
                }
            }
            time = time.checked_add(reference.duration.into()).ok_or_else(beyond)?;
            offset = next;
        }
        if index.pieces.len() > MAX_SEGMENTS {
            return Err(wrong("has more than 2,000,000 segments"));
        }
        waiting.extend(below.into_iter().rev());
    }
    Ok(index)
}

/// Reads a `sidx` box; `None` if it is none, or not whole.
fn parse(bytes: &[u8]) -> Option<Sidx> {
    let mut at = 0;
    let mut take = |length: usize| {
        let field = bytes.get(at..at + length)?;
        at += length;
        Some(field.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)))
    };
    let size = take(4)?;
    if take(4)? != u64::from(u32::from_be_bytes(*b"sidx")) {
        return None;
    }
    let version = take(4)? >> 24;
    let width = if version == 0 { 4 } else { 8 };
    let _reference_id = take(4)?;
    let timescale = u32::try_from(take(4)?).ok()?;
    let (time, first_offset) = (take(width)?, take(width)?);
    let count = take(4)? & 0xFFFF;
    let mut references = Vec::new();
    for _ in 0..count {
        let (size, duration, _access) = (take(4)?, take(4)?, take(4)?);
        let reference =
            Reference { is_index: size >> 31 == 1, size: size as u32 & 0x7FFF_FFFF, duration: duration as u32 };
        references.push(reference);
    }
    Some(Sidx { timescale, time, first_offset, size, references })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sidx(time: u32, first_offset: u32, references: &[(bool, u32, u32)]) -> Vec<u8> {
        let fields = [0, 1, 1000, time, first_offset, references.len() as u32];
        let entries = references
            .iter()
            .flat_map(|(is_index, size, duration)| [u32::from(*is_index) << 31 | size, *duration, 0x9000_0000]);
        let content: Vec<u8> = fields.into_iter().chain(entries).flat_map(u32::to_be_bytes).collect();
        [&(content.len() as u32 + 8).to_be_bytes()[..], b"sidx", &content].concat()
    }

    fn read_all(file: &[u8], range: Range<u64>) -> Result<Index, String> {
        let bytes = |range: Range<u64>| {
            let end = file.len().min(range.end as usize);
            Ok(file.get(range.start as usize..end).unwrap_or_default().to_vec())
        };
        read(range, &bytes, &|reason| Error::unusable("x", reason)).map_err(|error| error.to_string())
    }

    #[test]
    fn segments_follow_on_the_index() {
        let file = sidx(500, 10, &[(false, 100, 2000), (false, 50, 1500)]);
        let index = read_all(&file, 0..file.len() as u64).expect("an index");
        let first = file.len() as u64 + 10;
        assert_eq!((index.timescale, index.pieces), (1000, vec![(first, 100), (first + 100, 50)]));
        let times: Vec<_> = index.entries.iter().map(|entry| (entry.time, entry.duration)).collect();
        assert_eq!(times, [(Some(500), 2000), (Some(2500), 1500)]);
    }

    #[test]
    fn indexes_of_indexes_are_read_in_order() {
        let (a, b) = (sidx(0, 200, &[(false, 10, 1000)]), sidx(1000, 300, &[(false, 20, 500), (false, 30, 500)]));
        let top = sidx(0, 0, &[(true, a.len() as u32, 1000), (true, b.len() as u32, 1000)]);
        let file = [top.clone(), a, b].concat();
        let index = read_all(&file, 0..top.len() as u64).expect("an index");
        let times: Vec<_> = index.entries.iter().map(|entry| entry.time).collect();
        assert_eq!(times, [Some(0), Some(1000), Some(1500)]);
        assert_eq!(index.pieces.iter().map(|piece| piece.1).collect::<Vec<_>>(), [10, 20, 30]);
    }

    #[test]
    fn hostile_indexes_are_refused() {
        // One that points to itself, by way of the whole range of sizes.
        let size = sidx(0, 0, &[(true, 0, 1)]).len() as u32;
        let file = sidx(0, u32::MAX, &[(true, size, 1), (true, size, 1)]);
        for (file, range, part) in [
            (file.clone(), 0..file.len() as u64, "not a whole sidx box"),
            (b"nothing".to_vec(), 0..7, "not a whole sidx box"),
            (sidx(0, 0, &[(false, 1, 1)])[..30].to_vec(), 0..30, "not a whole sidx box"),
            (sidx(0, 0, &[]), 0..1 << 40, "32 MiB"),
            (sidx(0, 0, &[(true, 1, 1), (false, 1, 1)]), 0..60, "of segments and of indexes"),
        ] {
            let reason = read_all(&file, range).expect_err(part);
            assert!(reason.contains(part), "{reason}");
        }
        let deep: Vec<u8> = (0..10).flat_map(|_| sidx(0, 0, &[(true, size, 1)])).collect();
        assert!(read_all(&deep, 0..u64::from(size)).expect_err("deep").contains("4 levels"));
    }
}
