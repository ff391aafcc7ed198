//! The segments of a playlist, in blocks that longer versions of the playlist share: a segment takes 24 bytes and its
//! URI, and what is there isn't copied when a segment comes to it.

use std::sync::Arc;

use media::time::{TimeRange, WallTime};

use super::playlist::locate;
use crate::{
    Error,
    track::{Address, Segments},
};

/// How many segments a block has.
const BLOCK: usize = 4096;

/// The segments of a playlist.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    blocks: Vec<Arc<Block>>,
    count: usize,
}

#[derive(Debug, Clone, Default)]
struct Block {
    rows: Vec<Row>,
    /// Their URIs, one after the other; one that several rows in a row have, once.
    uris: String,
    /// As long as `rows`, or empty if no segment is a byte range: offset and length.
    byte_ranges: Vec<Option<(u64, u64)>>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    start: WallTime,
    end: WallTime,
    /// Where its URI is in `uris`.
    uri: u32,
    length: u16,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Adds a segment.
    pub(super) fn push(&mut self, range: TimeRange, uri: &str, bytes: Option<(u64, u64)>) -> Result<(), &'static str> {
        let length = u16::try_from(uri.len()).map_err(|_| "its URI is too long")?;
        if self.count.is_multiple_of(BLOCK) {
            self.blocks.push(Arc::default());
        }
        let Some(block) = self.blocks.last_mut().map(Arc::make_mut) else { return Err("it is too long") };
        let same = block.rows.last().map(|row| row.uri).filter(|at| block.uris.get(*at as usize..) == Some(uri));
        let at = match same {
            Some(at) => at,
            None => {
                let at = u32::try_from(block.uris.len()).map_err(|_| "it is too long")?;
                block.uris.push_str(uri);
                at
            }
        };
        if bytes.is_some() || !block.byte_ranges.is_empty() {
            block.byte_ranges.resize(block.rows.len(), None);
            block.byte_ranges.push(bytes);
        }
        block.rows.push(Row { start: range.start, end: range.end, uri: at, length });
        self.count += 1;
        Ok(())
    }

    /// Makes the last segment end at `end`. Returns when it starts.
    pub(super) fn end_last(&mut self, end: WallTime) -> Option<WallTime> {
        let last = self.blocks.last_mut().map(Arc::make_mut)?.rows.last_mut()?;
        last.end = end.max(last.start);
        Some(last.start)
    }

    /// Moves all segments in time.
    pub(super) fn shift(&mut self, nanos: i64) {
        for row in self.blocks.iter_mut().flat_map(|block| &mut Arc::make_mut(block).rows) {
            row.start = row.start.saturating_add_nanos(nanos);
            row.end = row.end.saturating_add_nanos(nanos);
        }
    }

    fn bytes(&self) -> usize {
        let block = |block: &Arc<Block>| {
            let rows = block.rows.capacity() * size_of::<Row>() + size_of_val(&*block.byte_ranges);
            size_of::<Block>() + rows + block.uris.capacity()
        };
        self.blocks.iter().map(block).sum()
    }

    fn row(&self, index: usize) -> (&Block, &Row) {
        let block = &self.blocks[index / BLOCK];
        (block, &block.rows[index % BLOCK])
    }
}

/// The segments of the playlist of this name.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) rows: Rows,
}

impl Segments for Table {
    fn range(&self, index: usize) -> TimeRange {
        let Row { start, end, .. } = *self.rows.row(index).1;
        TimeRange { start, end }
    }

    fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn address(&self, index: usize) -> Result<Address, Error> {
        let (block, row) = self.rows.row(index);
        let uri = block.uris.get(row.uri as usize..).and_then(|rest| rest.get(..row.length.into()));
        let name = locate(&self.name, uri.unwrap_or_default())?;
        Ok(match block.byte_ranges.get(index % BLOCK) {
            Some(Some((offset, length))) => Address { name, offset: *offset, length: Some(*length) },
            _ => Address::whole(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_all_blocks_are_found() {
        let range = |n: i64| TimeRange::new(WallTime::from_nanos(n), WallTime::from_nanos(n + 1));
        let mut rows = Rows::default();
        let bytes = |n: i64| (n > 5000).then_some((n as u64, 1));
        for n in 0..10_000 {
            rows.push(range(n), &format!("{}.ts", n / 2), bytes(n)).expect("a row");
        }
        let before = rows.clone();
        rows.end_last(WallTime::from_nanos(20_000));
        rows.push(range(10_000), "x.ts", None).expect("a row");
        let table = |rows: &Rows| Table { name: "a/x.m3u8".into(), rows: rows.clone() };
        for n in [0, 1, 4095, 4096, 5000, 5001, 8191, 8192, 9999] {
            let address = table(&rows).address(n as usize).expect("an address");
            assert_eq!(address.name, format!("a/{}.ts", n / 2));
            assert_eq!((address.offset, address.length), bytes(n).map_or((0, None), |(at, length)| (at, Some(length))));
            assert_eq!(table(&before).range(n as usize), range(n));
        }
        assert_eq!(table(&rows).range(9999).end, WallTime::from_nanos(20_000));
        assert_eq!((before.len(), rows.len()), (10_000, 10_001));
        assert!(rows.push(range(0), &"x".repeat(70_000), None).is_err());
    }
}
