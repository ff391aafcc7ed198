//! When the segments of a rendition are: as a `SegmentTimeline` lists them, or counted from one duration for all.

use std::ops::Range;

use media::time::WallTime;

use super::{
    Presentation, edge,
    period::Bounds,
    rendition::Levels,
    table::{Naming, Table},
    timeline::{Timeline, Until},
};
use crate::{Error, TOLERANCE};

/// Segments of the same duration, one after the other.
#[derive(Clone, Copy)]
struct Regular {
    /// Presentation time of the one with the start number.
    time: u64,
    duration: u64,
}

impl Regular {
    /// Presentation time of a segment, counted from that one.
    fn time(self, index: u64) -> Option<u64> {
        self.duration.checked_mul(index)?.checked_add(self.time)
    }
}

impl Presentation<'_> {
    /// Gives `table` its timeline. Returns whether the manifest lists the segments; otherwise they were counted.
    pub(super) fn place(&self, table: &mut Table, levels: &Levels<'_>, bounds: Bounds) -> Result<bool, Error> {
        let ticks = |wall: WallTime| table.scale.ticks(wall.nanos_since(bounds.start));
        let newest = ticks(self.newest);
        // An end that was rounded up is no reason for one segment more.
        let end = bounds.expected_end.map(|end| ticks(end.saturating_add_nanos(-TOLERANCE)));
        let entries = levels.find(|level| level.timeline.as_ref()).map(|timeline| timeline.entries.as_slice());
        let regular = match entries {
            None => Regular { time: table.scale.offset, duration: self.duration(levels)? },
            Some([only]) if only.repeat < 0 && only.duration > 0 && self.is_dynamic => {
                Regular { time: only.time.unwrap_or(0), duration: only.duration }
            }
            Some(entries) => {
                let until = match end {
                    Some(end) if end <= newest || !self.is_dynamic => Some(Until::StartsBefore(end)),
                    _ => self.is_dynamic.then_some(Until::EndsBy(newest)),
                };
                table.timeline = Timeline::read(entries, until).map_err(|reason| self.unusable(reason))?;
                return Ok(true);
            }
        };
        let by_time = end.map(|end| Until::StartsBefore(end).count(regular.time, regular.duration));
        let by_number =
            levels.find(|level| level.end_number).map(|last| last.saturating_add(1).saturating_sub(table.start_number));
        let limit = by_time.into_iter().chain(by_number).min();
        let Range { start, end } = self.count(table, regular, newest, limit)?;
        let time = regular.time(start).ok_or_else(|| self.unusable("runs out of time"))?;
        table.timeline = Timeline::regular(time, regular.duration, end.saturating_sub(start))
            .map_err(|reason| self.unusable(reason))?;
        table.start_number = table.start_number.saturating_add(start);
        Ok(false)
    }

    fn duration(&self, levels: &Levels<'_>) -> Result<u64, Error> {
        let duration = levels.find(|level| level.duration).filter(|duration| *duration > 0);
        duration.ok_or_else(|| self.unusable("has neither a SegmentTimeline nor a duration of its segments"))
    }

    /// Which of the segments there are, counted from the one with the start number.
    fn count(&self, table: &Table, regular: Regular, newest: u64, limit: Option<u64>) -> Result<Range<u64>, Error> {
        let template = match &table.naming {
            Naming::List(list) => return Ok(0..list.len() as u64),
            Naming::Pieces { pieces, .. } => return Ok(0..pieces.len() as u64),
            Naming::Template(template) => template,
        };
        if !self.is_dynamic {
            return Ok(0..limit.ok_or_else(|| self.unusable("does not tell how many segments it has"))?);
        }
        let has = |index: usize| {
            let numbers = table.start_number.checked_add(index as u64).zip(regular.time(index as u64));
            let name = numbers.map(|(number, time)| table.name(template, number, time));
            name.is_some_and(|name| name.is_ok_and(|name| self.reading.has(&name)))
        };
        let limit = limit.unwrap_or(u64::MAX);
        let expected = Until::EndsBy(newest).count(regular.time, regular.duration).min(limit);
        let there = edge::available(usize::try_from(expected).unwrap_or(usize::MAX), has);
        Ok(there.start as u64..limit.min(there.end as u64))
    }
}
