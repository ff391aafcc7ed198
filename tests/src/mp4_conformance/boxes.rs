//! Boxes, and the numbers in them (ISO/IEC 14496-12 §4.2).

use std::ops::Range;

/// A box of a file.
#[derive(Clone, Copy)]
pub(super) struct Box<'a> {
    pub(super) kind: [u8; 4],
    pub(super) content: &'a [u8],
    /// Where the content begins in the file.
    start: usize,
}

/// Bytes of a video's sample entry before the boxes in it (§12.1.3).
const VIDEO_ENTRY: usize = 78;

impl<'a> Box<'a> {
    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(&self.kind).into_owned()
    }

    /// Where the content lies in the file.
    pub(super) fn content_range(&self) -> Range<usize> {
        self.start..self.start + self.content.len()
    }

    pub(super) fn children(&self) -> Result<Vec<Self>, String> {
        all(self.content, self.start)
    }

    /// The one box of a type in this one.
    pub(super) fn child(&self, kind: &str) -> Result<Self, String> {
        let children = self.children()?;
        let mut found = children.into_iter().filter(|child| child.kind == *kind.as_bytes());
        match (found.next(), found.next()) {
            (Some(child), None) => Ok(child),
            (None, _) => Err(format!("{} has no {kind}", self.name())),
            _ => Err(format!("{} has more than one {kind}", self.name())),
        }
    }

    /// The sample entries of stsd (§8.5.2).
    pub(super) fn entries(&self) -> Result<Vec<Self>, String> {
        let rest = self.content.get(8..).ok_or("stsd is cut off")?;
        let entries = all(rest, self.start + 8)?;
        let count = number(self.content, 4, 4)?;
        if entries.len() as i64 != count {
            return Err(format!("stsd says {count} entries, and has {}", entries.len()));
        }
        Ok(entries)
    }

    /// The boxes in a video's sample entry. Four zeros may end them, as QuickTime writes them.
    pub(super) fn of_video_entry(&self) -> Result<Vec<Self>, String> {
        let rest = self.content.get(VIDEO_ENTRY..).ok_or("the sample entry is cut off")?;
        all(rest.strip_suffix(&[0; 4]).unwrap_or(rest), self.start + VIDEO_ENTRY).or_else(|_| all(rest, 0))
    }
}

/// The boxes that `bytes` consist of; they begin at `start` in the file.
pub(super) fn all(bytes: &[u8], start: usize) -> Result<Vec<Box<'_>>, String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let kind =
            *bytes.get(at + 4..).and_then(<[u8]>::first_chunk).ok_or_else(|| format!("a box is cut off at {at}"))?;
        let (head, size) = match number(bytes, at, 4)? {
            0 => (8, (bytes.len() - at) as i64),
            1 => (16, number(bytes, at + 8, 8)?),
            size => (8, size),
        };
        let size = usize::try_from(size).map_err(|_| "a box has a negative size")?;
        let content = bytes.get(at + head..).zip(size.checked_sub(head)).and_then(|(rest, size)| rest.get(..size));
        let Some(content) = content else {
            let name = String::from_utf8_lossy(&kind).into_owned();
            return Err(format!("{name} at {} is said to have {size} bytes", start + at));
        };
        found.push(Box { kind, content, start: start + at + head });
        at += size;
    }
    Ok(found)
}

/// A big-endian number of so many bytes.
pub(super) fn number(bytes: &[u8], at: usize, width: usize) -> Result<i64, String> {
    let bytes = bytes.get(at..at + width).ok_or("a box is too short")?;
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte)))
}
