//! When the segments of a rendition are (ISO/IEC 23009-1 §5.3.9.6), kept as it is written: as runs of equal durations.

use media::time::{NANOS, WallTime};

use super::mpd::Entry;
use crate::MAX_SEGMENTS;

/// The segments of a rendition, in ticks of its timescale.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Timeline {
    runs: Vec<Run>,
    count: usize,
}

/// Segments of the same duration, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Index of the first.
    first: usize,
    /// Presentation time of the first.
    time: u64,
    /// Duration of each, more than 0.
    duration: u64,
}

impl Timeline {
    /// The segments of a `SegmentTimeline`. `until` is what ends a last entry that repeats without a number.
    pub(super) fn read(entries: &[Entry], until: Option<Until>) -> Result<Self, String> {
        let mut timeline = Self::default();
        let mut time = 0;
        for (at, entry) in entries.iter().enumerate() {
            time = entry.time.unwrap_or(time);
            let wrong = |reason: &str| format!("entry {} of a SegmentTimeline {reason}", at + 1);
            if entry.duration == 0 {
                return Err(wrong("has no duration"));
            }
            if entry.sequence.is_some_and(|length| length > 1) {
                return Err(wrong("is a sequence of segments, which is not supported"));
            }
            let count = match (u64::try_from(entry.repeat), entries.get(at + 1)) {
                (Ok(repeat), _) => repeat.saturating_add(1),
                (Err(_), None) => until.ok_or_else(|| wrong("repeats without an end"))?.count(time, entry.duration),
                (Err(_), Some(next)) => {
                    let end = next.time.ok_or_else(|| wrong("repeats until a time that is not given"))?;
                    Until::StartsBefore(end).count(time, entry.duration)
                }
            };
            time = timeline.push(time, entry.duration, count).map_err(wrong)?;
        }
        Ok(timeline)
    }

    /// `count` segments of the same duration from `time` on.
    pub(super) fn regular(time: u64, duration: u64, count: u64) -> Result<Self, String> {
        let mut timeline = Self::default();
        match duration {
            0 => return Err("has segments of no duration".into()),
            _ => timeline.push(time, duration, count).map_err(String::from)?,
        };
        Ok(timeline)
    }

    /// Adds a run. Returns the time at which it ends.
    fn push(&mut self, time: u64, duration: u64, count: u64) -> Result<u64, &'static str> {
        let goes_back = self.count.checked_sub(1).is_some_and(|last| time <= self.start(last));
        if goes_back {
            return Err("goes back in time");
        }
        let total = usize::try_from(count).ok().and_then(|count| self.count.checked_add(count));
        let total = total.filter(|total| *total <= MAX_SEGMENTS).ok_or("makes it more than 2,000,000 segments")?;
        let end = duration.checked_mul(count).and_then(|length| time.checked_add(length)).ok_or("runs out of time")?;
        if count > 0 {
            self.runs.push(Run { first: self.count, time, duration });
            self.count = total;
        }
        Ok(end)
    }

    /// How many segments there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// When segment `index` starts.
    pub(super) fn start(&self, index: usize) -> u64 {
        self.run(index).map_or(0, |run| run.time + run.duration * (index - run.first) as u64)
    }

    /// When segment `index` ends: at the latest where the next starts.
    pub(super) fn end(&self, index: usize) -> u64 {
        let end = self.run(index).map_or(0, |run| run.time + run.duration * (index - run.first + 1) as u64);
        if index + 1 < self.count { end.min(self.start(index + 1)) } else { end }
    }

    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.runs)
    }

    /// The first segments of the runs.
    pub(super) fn firsts(&self) -> impl Iterator<Item = usize> {
        self.runs.iter().map(|run| run.first)
    }

    fn run(&self, index: usize) -> Option<&Run> {
        let after = self.runs.partition_point(|run| run.first <= index);
        self.runs.get(after.checked_sub(1)?)
    }
}

/// What ends an entry that repeats without a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The last segment starts before this time.
    StartsBefore(u64),
    /// The last segment ends by this time.
    EndsBy(u64),
}

impl Until {
    pub(super) fn count(self, time: u64, duration: u64) -> u64 {
        match self {
            Self::StartsBefore(end) => end.saturating_sub(time).div_ceil(duration),
            Self::EndsBy(end) => end.saturating_sub(time) / duration,
        }
    }
}

/// Where the media time of a rendition meets wall time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    /// Ticks in a second, more than 0.
    pub(super) timescale: u32,
    /// The time, in ticks, at the start of the period.
    pub(super) offset: u64,
    /// The start of the period.
    pub(super) wall: WallTime,
}

impl Scale {
    /// When the time `ticks` is; `None` outside of the range of times.
    pub(super) fn wall(&self, ticks: u64) -> Option<WallTime> {
        let ticks = i128::from(ticks) - i128::from(self.offset);
        let timescale = i128::from(self.timescale);
        let nanos = (ticks * i128::from(NANOS) * 2 + timescale).div_euclid(timescale * 2);
        i64::try_from(nanos).ok().and_then(|nanos| self.wall.checked_add_nanos(nanos))
    }

    /// The first tick at or after `nanos` from the start of the period.
    pub(super) fn ticks(&self, nanos: i64) -> u64 {
        let ticks = (i128::from(nanos) * i128::from(self.timescale) + i128::from(NANOS) - 1).div_euclid(NANOS.into());
        u64::try_from(ticks + i128::from(self.offset)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(time: Option<u64>, duration: u64, repeat: i64) -> Entry {
        Entry { time, duration, repeat, sequence: None }
    }

    fn check(entries: &[Entry], until: Option<Until>, expected: Result<&[(u64, u64)], &str>) {
        match (Timeline::read(entries, until), expected) {
            (Ok(timeline), Ok(expected)) => {
                let found: Vec<_> = (0..timeline.len()).map(|at| (timeline.start(at), timeline.end(at))).collect();
                assert_eq!(found, expected, "{entries:?}");
            }
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
            (found, _) => panic!("{entries:?} became {found:?}"),
        }
    }

    #[test]
    fn entries_become_segments() {
        check(&[entry(Some(5), 10, 2)], None, Ok(&[(5, 15), (15, 25), (25, 35)]));
        check(&[entry(None, 10, 0), entry(None, 7, 0)], None, Ok(&[(0, 10), (10, 17)]));
        check(&[entry(Some(0), 10, 0), entry(Some(50), 10, 0)], None, Ok(&[(0, 10), (50, 60)]));
        // An overlap, as rounding makes them: the segment ends where the next starts.
        check(&[entry(Some(0), 10, 0), entry(Some(9), 10, 0)], None, Ok(&[(0, 9), (9, 19)]));
        check(&[], None, Ok(&[]));
    }

    #[test]
    fn open_entries_end_with_the_next_or_with_the_period() {
        let open = [entry(Some(0), 10, -1)];
        check(&open, Some(Until::StartsBefore(25)), Ok(&[(0, 10), (10, 20), (20, 30)]));
        check(&open, Some(Until::EndsBy(25)), Ok(&[(0, 10), (10, 20)]));
        check(&open, None, Err("without an end"));
        check(&[open[0], entry(Some(20), 5, 0)], None, Ok(&[(0, 10), (10, 20), (20, 25)]));
        check(&[open[0], entry(None, 5, 0)], None, Err("not given"));
        check(&[entry(Some(30), 10, -1)], Some(Until::StartsBefore(25)), Ok(&[]));
    }

    #[test]
    fn hostile_entries_are_refused() {
        check(&[entry(None, 1, i64::MAX)], None, Err("2,000,000"));
        check(&[entry(None, 1, 1 << 31)], None, Err("2,000,000"));
        check(&[entry(Some(0), 1, -1)], Some(Until::EndsBy(u64::MAX)), Err("2,000,000"));
        check(&[entry(Some(u64::MAX), 1, 0)], None, Err("out of time"));
        check(&[entry(Some(0), u64::MAX, 1)], None, Err("out of time"));
        check(&[entry(Some(0), 0, 5)], None, Err("no duration"));
        check(&[entry(Some(9), 5, 0), entry(Some(9), 5, 0)], None, Err("back in time"));
        check(&[entry(Some(0), 5, 3), entry(Some(15), 5, 0)], None, Err("back in time"));
        check(&[Entry { sequence: Some(4), ..entry(None, 5, 0) }], None, Err("sequence"));
    }

    #[test]
    fn ticks_meet_wall_time_exactly() {
        let scale = Scale { timescale: 30_000, offset: 1_000, wall: WallTime::from_nanos(NANOS) };
        assert_eq!(scale.wall(1_000 + 1_001), Some(WallTime::from_nanos(NANOS + 33_366_667)));
        assert_eq!(scale.wall(0), Some(WallTime::from_nanos(NANOS - 33_333_333)));
        assert_eq!(scale.wall(u64::MAX), None);
        assert_eq!(scale.ticks(33_366_667), 1_000 + 1_002);
        assert_eq!(scale.ticks(33_366_666), 1_000 + 1_001);
        assert_eq!(scale.ticks(i64::MIN), 0);
    }
}
