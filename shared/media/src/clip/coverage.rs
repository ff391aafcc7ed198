//! What a span gave, held against what the manifest says of it: a damaged source ends or skips without an error.

use super::{
    method::Wanted,
    run::{Shown, SpanRun},
};
use crate::{
    Error, Span,
    time::{NANOS, TimeRange, WallTime},
};

/// So much of a recording may be missing before it counts as damaged: less is what cameras drop now and then, and is
/// only told.
const MAX_HOLE: i64 = NANOS / 2;
/// Fewer frames than this in a row aren't worth a word: rates vary.
const MIN_HOLE_FRAMES: i64 = 3;

/// Media that should be there, and isn't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) range: TimeRange,
    /// The source in which it is missing, and where in it the piece begins, if that can be told.
    pub(crate) source: Option<(u32, u64)>,
    pub(crate) problem: String,
}

impl Hole {
    /// Pictures that refer to what is missing before them.
    pub(crate) fn unled(span: &Span, range: TimeRange) -> Self {
        let TimeRange { start, end } = range;
        let problem = format!("frames between {start} and {end} refer to what is missing before them");
        Self { problem, ..Self::new(span, start, end) }
    }

    fn new(span: &Span, from: WallTime, to: WallTime) -> Self {
        let problem = format!("it is damaged, or cut short: it holds no video between {from} and {to}");
        let segments = span.parts.first().map_or(&[][..], |part| &part.segments);
        // The frame before the hole may still belong to the segment before.
        let middle = from.saturating_add_nanos(to.nanos_since(from) / 2);
        let segment = segments.iter().rev().find(|segment| segment.range.start <= middle).or(segments.first());
        Self {
            range: TimeRange::new(from, to),
            source: segment.map(|segment| (segment.piece.source, segment.piece.offset)),
            problem,
        }
    }
}

impl Hole {
    /// Says where it is, as the reason for failing.
    pub(super) fn into_error(self) -> Error {
        match self.source {
            Some((source_index, offset)) => Error::Damaged { source_index, offset, problem: self.problem },
            None => Error::Unusable(self.problem),
        }
    }
}

/// Nothing was found in a span: fine where the range falls between two frames, a hole where it doesn't.
pub(super) fn check_nothing(wanted: &Wanted<'_>) -> Vec<Hole> {
    let missing = wanted.end().nanos_since(wanted.mark_in);
    if missing > MAX_HOLE { vec![Hole::new(wanted.span, wanted.mark_in, wanted.end())] } else { Vec::new() }
}

/// What a look at a span found.
#[derive(Default)]
pub(super) struct Found {
    /// Holes with media behind them.
    pub(super) holes: Vec<Hole>,
    /// The hole that the span ends with.
    pub(super) tail: Option<Hole>,
    /// Holes that are told, and left as they are: the frame before is shown longer.
    pub(super) small: Vec<Hole>,
}

/// Looks for holes in what was written of a span.
pub(super) fn check(wanted: &Wanted<'_>, run: &mut SpanRun) -> Found {
    let mut found = Found::default();
    if run.video.is_none() {
        return found;
    }
    run.shown.sort_unstable();
    let wall = |ticks| run.clock.wall(ticks);
    // A file may begin with sound alone; segments are cut where the video begins.
    let is_segmented = wanted.span.parts.iter().all(|part| part.segments.len() > 1);
    let mut reached = if is_segmented { wanted.mark_in } else { wall(run.zero).max(wanted.mark_in) };
    let small = MIN_HOLE_FRAMES * run.clock.timebase.nanos(run.frame_ticks);
    // A camera that sends a frame in two seconds loses nothing.
    let large = MAX_HOLE.max(small);
    for (index, Shown { start, end, .. }) in run.shown.iter().enumerate() {
        let hole = wall(*start).nanos_since(reached);
        if hole > large {
            // What was lost may be what the frames behind it refer to: the hole reaches to where decoding can begin.
            let key = run.shown[index..].iter().find(|shown| shown.is_key).map_or(wanted.end(), |key| wall(key.start));
            let from = sound_end(&run.shown[..index], run.frame_ticks).map_or(reached, wall);
            found.holes.push(Hole::new(wanted.span, from.min(reached), key));
        } else if hole > small {
            let range = TimeRange::new(reached, wall(*start));
            let problem = "frames are missing; the one before is shown longer".into();
            found.small.push(Hole { range, source: None, problem });
        }
        reached = reached.max(wall(*end));
    }
    if wanted.end().nanos_since(reached) > large {
        match sound_end(&run.shown, run.frame_ticks).map(wall).filter(|sound| *sound < reached) {
            // The last frames are damaged: the clip has to end before them.
            Some(sound) => found.holes.push(Hole::new(wanted.span, sound, wanted.end())),
            None => found.tail = Some(Hole::new(wanted.span, reached, wanted.end())),
        }
    }
    found
}

/// How many frames before a hole may have suffered with it: as many as are held back to be put in order.
const MAX_SUFFERED: usize = 16;

/// Where the sound frames before a hole end: frames that are damaged, or behind ones that are missing, belong to it.
fn sound_end(shown: &[Shown], frame: i64) -> Option<i64> {
    let first = shown.len().saturating_sub(MAX_SUFFERED);
    let tail = &shown[first..];
    let broken = (0..tail.len()).find(|&index| {
        let is_behind_gap = index > 0 && tail[index].start - tail[index - 1].end > frame / 2;
        tail[index].is_damaged || is_behind_gap
    });
    match broken {
        Some(0) => Some(tail[0].start),
        Some(index) => Some(tail[index - 1].end),
        None => tail.last().map(|last| last.end),
    }
}
