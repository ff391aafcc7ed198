//! A rendition: its segments, found by index or by time, and the stretches of it that have no gap.

use std::{fmt::Debug, ops::Range};

use media::{
    Format,
    time::{TimeRange, WallTime},
};

use crate::Error;

/// Where bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Name of the file in the library.
    pub(crate) name: String,
    /// The first byte.
    pub(crate) offset: u64,
    /// How many; to the end of the file if absent.
    pub(crate) length: Option<u64>,
}

impl Address {
    /// A whole file.
    pub(crate) fn whole(name: String) -> Self {
        Self { name, offset: 0, length: None }
    }
}

/// The segments of a rendition, kept as the layout finds best. A recording has up to two million of them: what costs
/// memory for each is made when it is asked for.
pub(crate) trait Segments: Debug + Send + Sync {
    /// What segment `index` covers. Within a stretch, the starts never go back.
    fn range(&self, index: usize) -> TimeRange;

    /// About how many bytes of memory they take.
    fn bytes(&self) -> usize;

    /// Where segment `index` is. This is where what a manifest points to is checked.
    fn address(&self, index: usize) -> Result<Address, Error>;
}

/// The one segment of a rendition that is a file.
#[derive(Debug)]
struct Whole {
    address: Address,
    range: TimeRange,
}

impl Segments for Whole {
    fn range(&self, _: usize) -> TimeRange {
        self.range
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.address.name.len()
    }

    fn address(&self, _: usize) -> Result<Address, Error> {
        Ok(self.address.clone())
    }
}

/// Where media time and wall time meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The presentation time `ticks / timescale` is at `wall`.
    Ticks { ticks: i64, timescale: u32, wall: WallTime },
    /// The first video keyframe (or packet, without video) of a segment is at `wall`.
    FirstKeyframe { segment: usize, wall: WallTime },
}

/// Segments without a gap or a change of clock or of init segment among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Which segments.
    pub(crate) segments: Range<usize>,
    /// What of them counts: an overlap with the stretch before is left out.
    pub(crate) range: TimeRange,
    /// Index of the init segment in the track's `inits`.
    pub(crate) init: Option<usize>,
}

/// A rendition.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) format: Format,
    /// What the manifest says of the language, where the rendition is one of sound alone.
    pub(crate) language: Option<String>,
    pub(crate) segments: Box<dyn Segments>,
    pub(crate) inits: Vec<Address>,
    /// In order of time; their ranges don't overlap and are not empty.
    pub(crate) stretches: Vec<Stretch>,
    /// Clocks, each with the first segment that it holds for, in order. Never empty: the first holds
    /// for all before, too.
    pub(crate) clocks: Vec<(usize, Clock)>,
    /// What the manifest says is missing, in order of time.
    pub(crate) declared: Vec<TimeRange>,
}

impl Track {
    /// A rendition that is one file, all of it at `range`.
    pub(crate) fn whole(format: Format, address: Address, range: TimeRange, clock: Clock) -> Self {
        Self {
            format,
            language: None,
            segments: Box::new(Whole { address, range }),
            inits: Vec::new(),
            stretches: vec![Stretch { segments: 0..1, range, init: None }],
            clocks: vec![(0, clock)],
            declared: Vec::new(),
        }
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let lists = size_of_val(&*self.stretches) + size_of_val(&*self.clocks) + size_of_val(&*self.declared);
        let inits: usize = self.inits.iter().map(|init| size_of::<Address>() + init.name.len()).sum();
        self.segments.bytes() + lists + inits
    }

    /// The segment of a stretch that `instant` falls into; the first or last one if it lies outside.
    pub(crate) fn segment_at(&self, stretch: &Stretch, instant: WallTime) -> usize {
        let Range { start, end } = stretch.segments;
        let after = partition_point(start, end, |index| self.segments.range(index).start <= instant);
        after.saturating_sub(1).max(start)
    }

    /// The segments of a stretch that `range` touches, and one more on each side where there is one: pictures are shown
    /// in another order than they are stored, audio needs a frame of run-up, and manifests round.
    pub(crate) fn touched(&self, stretch: &Stretch, range: TimeRange) -> Range<usize> {
        let Range { start, end } = stretch.segments;
        let first = self.segment_at(stretch, range.start);
        let after = partition_point(first + 1, end, |index| self.segments.range(index).start < range.end);
        first.saturating_sub(1).max(start)..(after + 1).min(end)
    }

    /// The clock that holds for segment `index`.
    pub(crate) fn clock(&self, index: usize) -> Clock {
        let after = self.clocks.partition_point(|(from, _)| *from <= index);
        self.clocks[after.saturating_sub(1)].1
    }
}

/// The first index from `low` to `high` for which `holds` is false, if it is true for all before and false for all
/// after.
pub(crate) fn partition_point(mut low: usize, mut high: usize, mut holds: impl FnMut(usize) -> bool) -> usize {
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten segments of two seconds.
    #[derive(Debug)]
    struct Tens;

    impl Segments for Tens {
        fn range(&self, index: usize) -> TimeRange {
            let at = |index: usize| WallTime::from_nanos(index as i64 * 2);
            TimeRange::new(at(index), at(index + 1))
        }

        fn bytes(&self) -> usize {
            0
        }

        fn address(&self, index: usize) -> Result<Address, Error> {
            Ok(Address::whole(index.to_string()))
        }
    }

    #[test]
    fn touched_segments_and_one_more_on_each_side() {
        let track = Track {
            format: Format::MpegTs,
            language: None,
            segments: Box::new(Tens),
            inits: vec![],
            stretches: vec![],
            clocks: vec![(0, Clock::FirstKeyframe { segment: 0, wall: WallTime::EPOCH })],
            declared: vec![],
        };
        let range = |from, to| TimeRange::new(WallTime::from_nanos(from), WallTime::from_nanos(to));
        let stretch = Stretch { segments: 1..9, range: range(2, 18), init: None };
        for (asked, touched) in [
            (range(6, 8), 2..5),
            (range(6, 9), 2..6),
            (range(7, 8), 2..5),
            (range(2, 3), 1..3),
            (range(17, 18), 7..9),
            (range(2, 18), 1..9),
            (range(0, 1), 1..3),
            (range(30, 31), 7..9),
            (range(7, 7), 2..5),
        ] {
            assert_eq!(track.touched(&stretch, asked), touched, "{asked:?}");
        }
    }

    #[test]
    fn partition_point_as_of_a_slice() {
        for edge in 3..=9 {
            assert_eq!(partition_point(3, 9, |index| index < edge), edge);
        }
    }
}
