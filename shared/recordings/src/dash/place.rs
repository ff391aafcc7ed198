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
struct Regular {
    /// Presentation time of the one with the start number.
    time: u64,
    duration: u64,
}

impl Presentation<'_> {
    /// Gives `table` its timeline. Returns whether the manifest lists the segments; otherwise they were counted.
    pub(super) fn place(&self, table: &mut Table, levels: &Levels<'_>, bounds: Bounds) -> Result<bool, Error> {
        let ticks = |wall: WallTime| table.scale.ticks(wall.nanos_since(bounds.start));
        let until = match bounds.expected_end {
            _ if self.is_dynamic => Some(Until::EndsBy(ticks(self.newest))),
            // An end that was rounded up is no reason for one segment more.
            end => end.map(|end| Until::StartsBefore(ticks(end.saturating_add_nanos(-TOLERANCE)))),
        };
        let entries = levels.find(|level| level.timeline.as_ref()).map(|timeline| timeline.entries.as_slice());
        let regular = match entries {
            None => Regular {
                time: table.scale.offset,
                duration: levels
                    .find(|level| level.duration)
                    .filter(|duration| *duration > 0)
                    .ok_or_else(|| self.unusable("has neither a SegmentTimeline nor a duration of its segments"))?,
            },
            Some([only]) if only.repeat < 0 && only.duration > 0 && self.is_dynamic => {
                Regular { time: only.time.unwrap_or(0), duration: only.duration }
            }
            Some(entries) => {
                table.timeline = Timeline::read(entries, until).map_err(|reason| self.unusable(reason))?;
                return Ok(true);
            }
        };
        let last_number = levels.find(|level| level.end_number).unwrap_or(u64::MAX);
        let limit = last_number.saturating_sub(table.start_number).saturating_add(1);
        let Range { start, end } = self.count(table, &regular, until)?;
        let time = start.checked_mul(regular.duration).and_then(|skipped| skipped.checked_add(regular.time));
        let time = time.ok_or_else(|| self.unusable("runs out of time"))?;
        table.timeline = Timeline::regular(time, regular.duration, end.min(limit).saturating_sub(start))
            .map_err(|reason| self.unusable(reason))?;
        table.start_number = table.start_number.saturating_add(start);
        Ok(false)
    }

    /// Which of the segments there are, counted from the one with the start number.
    fn count(&self, table: &Table, regular: &Regular, until: Option<Until>) -> Result<Range<u64>, Error> {
        let Regular { time, duration } = *regular;
        let count = until.map(|until| until.count(time, duration));
        match &table.naming {
            Naming::List(list) => Ok(0..list.len() as u64),
            Naming::Template(template) if self.is_dynamic => {
                let has = |index: usize| {
                    let index = index as u64;
                    let time = duration.checked_mul(index).and_then(|since| since.checked_add(time));
                    let number = table.start_number.checked_add(index);
                    let name = number.zip(time).map(|(number, time)| table.name(template, number, time));
                    name.is_some_and(|name| name.is_ok_and(|name| self.library.has(&name)))
                };
                let expected = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
                let there = edge::available(expected, has);
                Ok(there.start as u64..there.end as u64)
            }
            Naming::Template(_) => match count {
                Some(count) => Ok(0..count),
                None => Err(self.unusable("does not tell how many segments it has")),
            },
        }
    }
}
