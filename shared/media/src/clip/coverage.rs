//! What a span gave, held against what the manifest says of it: a damaged source ends or skips without an error.

use super::{method::Wanted, run::SpanRun};
use crate::{
    Error, Span,
    time::{NANOS, WallTime},
};

/// So much of a recording may be missing before it counts as damaged: less is what cameras drop now and then, and is
/// warned of.
const MAX_HOLE: i64 = NANOS / 2;
/// Fewer frames than this in a row aren't even worth a warning.
const MIN_HOLE_FRAMES: i64 = 3;

/// Nothing was found in a span: fine where the range falls between two frames, damage where it doesn't.
///
/// # Errors
/// `Damaged`, naming the segment.
pub(super) fn check_nothing(wanted: &Wanted<'_>) -> Result<(), Error> {
    let missing = wanted.end().nanos_since(wanted.mark_in);
    if missing > MAX_HOLE { Err(damaged(wanted.span, wanted.mark_in, wanted.end())) } else { Ok(()) }
}

/// Looks for holes in what was written of a span. Returns warnings of small ones.
///
/// # Errors
/// `Damaged`, naming the segment, for one that is too large.
pub(super) fn check(wanted: &Wanted<'_>, run: &mut SpanRun) -> Result<Vec<String>, Error> {
    if run.video.is_none() {
        return Ok(Vec::new());
    }
    run.shown.sort_unstable();
    let wall = |ticks| run.clock.wall(ticks);
    // A file may begin with sound alone; segments are cut where the video begins.
    let is_segmented = wanted.span.parts.iter().all(|part| part.segments.len() > 1);
    let mut reached = if is_segmented { wanted.mark_in } else { wall(run.zero).max(wanted.mark_in) };
    let mut warnings = Vec::new();
    let shown = run.shown.iter().map(|(start, end)| (wall(*start), wall(*end)));
    for (start, next) in shown.chain([(wanted.end(), wanted.end())]) {
        let hole = start.nanos_since(reached);
        if hole > MAX_HOLE {
            return Err(damaged(wanted.span, reached, start));
        }
        if hole > MIN_HOLE_FRAMES * run.clock.timebase.nanos(run.frame_ticks) && start < wanted.end() {
            warnings.push(format!("no frames between {reached} and {start}"));
        }
        reached = reached.max(next);
    }
    Ok(warnings)
}

/// Names the segment in which media is missing.
fn damaged(span: &Span, from: WallTime, to: WallTime) -> Error {
    let problem = format!("it is damaged, or cut short: it holds no video between {from} and {to}");
    let segments = span.parts.first().map_or(&[][..], |part| &part.segments);
    // The frame before the hole may still belong to the segment before.
    let middle = from.saturating_add_nanos(to.nanos_since(from) / 2);
    match segments.iter().rev().find(|segment| segment.range.start <= middle).or(segments.first()) {
        Some(segment) => Error::Damaged { source_index: segment.piece.source, problem },
        None => Error::Unusable(problem),
    }
}
