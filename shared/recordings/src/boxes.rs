//! The boxes of an ISO base media file (ISO/IEC 14496-12 §4.2), as far as it takes to tell how much of a file that is
//! being written can be read.

use std::{io, ops::Range};

/// The most boxes that are looked at: those of a day of fragments of a second each, and as many again.
const MAX_BOXES: usize = 400_000;

/// The most boxes in a `moov` box that are looked at.
const MAX_CHILDREN: usize = 1000;

/// How far a file has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Its index is there: nothing more is coming, or nothing that counts.
    Whole,
    /// It is made of fragments, whole up to this byte.
    Fragments {
        /// Where the last whole one ends.
        end: u64,
    },
    /// Its index is not there yet, nor the first fragment.
    Nothing,
}

/// A box: its type, and where it ends; `None` if it goes on to the end of the file.
pub(crate) struct Header {
    pub(crate) kind: [u8; 4],
    /// Its length, header included.
    pub(crate) size: Option<u64>,
}

impl Header {
    /// The box that begins with `bytes`, which are 16 or reach to the end of the file; `None` if it is none.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let size: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
        let kind: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
        let (content, size) = match u32::from_be_bytes(size) {
            0 => (8, None),
            1 => (16, Some(u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?))),
            size => (8, Some(u64::from(size))),
        };
        size.is_none_or(|size| size >= content).then_some(Self { kind, size })
    }
}

/// Reads some bytes of a file; fewer where it ends before.
pub(crate) type Read<'a> = dyn Fn(Range<u64>) -> io::Result<Vec<u8>> + 'a;

/// How far a file that has `size` bytes has been written.
pub(crate) fn written(read: &Read<'_>, size: u64) -> io::Result<Written> {
    let (mut at, mut has_index, mut is_fragmented, mut has_moof) = (0, false, false, false);
    let mut end = None;
    for _ in 0..MAX_BOXES {
        let Some(header) = header_at(read, at, size)? else { break };
        // A size that isn't known yet, or not written yet, makes the box reach beyond the end.
        let Some(next) = header.size.and_then(|length| at.checked_add(length)).filter(|next| *next <= size) else {
            break;
        };
        match &header.kind {
            b"moov" => (has_index, is_fragmented) = (true, is_fragmented || announces_fragments(read, at, next)?),
            b"moof" => (is_fragmented, has_moof) = (true, true),
            b"mdat" if std::mem::take(&mut has_moof) => end = Some(next),
            _ => {}
        }
        at = next;
    }
    Ok(match (has_index, is_fragmented, end) {
        (true, true, Some(end)) => Written::Fragments { end },
        (true, false, _) => Written::Whole,
        _ => Written::Nothing,
    })
}

/// Whether the `moov` box from `start` to `end` says that fragments follow (ISO/IEC 14496-12 §8.8.1).
fn announces_fragments(read: &Read<'_>, start: u64, end: u64) -> io::Result<bool> {
    let mut at = start + 8;
    for _ in 0..MAX_CHILDREN {
        let Some(header) = header_at(read, at, end)? else { break };
        match header.size.and_then(|length| at.checked_add(length)) {
            _ if header.kind == *b"mvex" => return Ok(true),
            Some(next) if next < end => at = next,
            _ => break,
        }
    }
    Ok(false)
}

fn header_at(read: &Read<'_>, at: u64, size: u64) -> io::Result<Option<Header>> {
    Ok(Header::read(&read(at..size.min(at.saturating_add(16)).max(at))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &str, content: usize) -> Vec<u8> {
        let size = (content + 8) as u32;
        [&size.to_be_bytes()[..], kind.as_bytes(), &vec![0; content]].concat()
    }

    fn check(bytes: &[u8], expected: Written) {
        let read = |range: Range<u64>| Ok(bytes[range.start as usize..range.end as usize].to_vec());
        assert_eq!(written(&read, bytes.len() as u64).expect("readable"), expected);
    }

    #[test]
    fn what_is_whole_counts() {
        let mut moov = boxed("moov", 100);
        moov[8..24].copy_from_slice(&[boxed("mvhd", 0), boxed("mvex", 84)].concat()[..16]);
        let head = [boxed("ftyp", 8), moov].concat();
        let fragment = [boxed("moof", 20), boxed("mdat", 50)].concat();
        let two = [head.clone(), fragment.clone(), fragment].concat();
        check(&two, Written::Fragments { end: 296 });
        check(&two[..295], Written::Fragments { end: 210 });
        check(&two[..215], Written::Fragments { end: 210 });
        check(&two[..209], Written::Nothing);
        check(&two[..130], Written::Nothing);
        check(&two[..124], Written::Nothing);
        check(&[boxed("ftyp", 8), boxed("mdat", 50), boxed("moov", 100)].concat(), Written::Whole);
        check(&[boxed("ftyp", 8), boxed("mdat", 50)].concat(), Written::Nothing);
        check(&[boxed("ftyp", 8), vec![0, 0, 0, 0], b"mdat".to_vec(), vec![7; 90]].concat(), Written::Nothing);
        check(b"", Written::Nothing);
        check(&[0, 0, 0, 1, b'm', b'd', b'a', b't', 255, 255, 255, 255, 255, 255, 255, 255], Written::Nothing);
        check(&[0, 0, 0, 4, b'm', b'd', b'a', b't'], Written::Nothing);
    }
}
