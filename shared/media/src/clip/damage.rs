//! Taking what is damaged out of what is read, so that it is a gap like any other.

use super::coverage::Hole;
use crate::{
    Anchor, Gap, Input, Part, Span,
    time::{TimeRange, WallTime},
};

/// Takes `hole` out of `input`: a span that it lies in becomes two. Returns the gap that it leaves.
pub(super) fn exclude(input: &mut Input, hole: &Hole) -> Gap {
    let spans = std::mem::take(&mut input.spans);
    for span in spans {
        if span.range.intersection(&hole.range).is_none() {
            input.spans.push(span);
            continue;
        }
        let before = TimeRange::new(span.range.start, hole.range.start.max(span.range.start));
        let after = TimeRange::new(hole.range.end.min(span.range.end), span.range.end);
        for range in [before, after] {
            input.spans.extend(narrowed(&span, range));
        }
    }
    Gap { range: hole.range, damage: Some(hole.problem.clone()) }
}

/// What source `index` was to give: the hole that it leaves if it can't be read. `None` if nothing is read from it but
/// what all else needs.
pub(super) fn hole_of_source(input: &mut Input, index: u32, problem: &str, wanted: TimeRange) -> Option<Hole> {
    let mut lost: Option<TimeRange> = None;
    for span in &mut input.spans {
        for part in &mut span.parts {
            // An init segment stands for the whole part.
            if part.init.is_some_and(|init| init.source == index)
                && part.segments.iter().all(|s| s.piece.source != index)
            {
                part.segments.iter().for_each(|segment| lost = Some(union(lost, segment.range)));
                part.segments.clear();
            }
            let damaged: Vec<_> = part.segments.extract_if(.., |segment| segment.piece.source == index).collect();
            for segment in damaged {
                lost = Some(union(lost, segment.range));
            }
            settle_anchor(part, index);
        }
        span.parts.retain(|part| !part.segments.is_empty());
    }
    input.spans.retain(|span| !span.parts.is_empty());
    let range = lost?;
    // Segments are read from beyond the range too; nothing of the clip is lost with these.
    let range = range.intersection(&wanted).unwrap_or(TimeRange::new(range.start, range.start));
    Some(Hole { range, source: Some(index), problem: problem.to_owned() })
}

fn union(range: Option<TimeRange>, more: TimeRange) -> TimeRange {
    range.map_or(more, |range| TimeRange::new(range.start.min(more.start), range.end.max(more.end)))
}

/// A clock that is set by a keyframe that can't be read is set by the next segment's.
fn settle_anchor(part: &mut Part, damaged: u32) {
    if let Anchor::FirstKeyframe { piece, .. } = &part.anchor
        && piece.source == damaged
        && let Some(first) = part.segments.first()
    {
        part.anchor = Anchor::FirstKeyframe { piece: first.piece, wall: first.range.start };
    }
}

/// The part of `span` in `range`: its segments, and one more on each side.
fn narrowed(span: &Span, range: TimeRange) -> Option<Span> {
    if range.is_empty() {
        return None;
    }
    let parts: Vec<Part> = span.parts.iter().filter_map(|part| narrowed_part(part, range)).collect();
    (!parts.is_empty()).then_some(Span { range, parts })
}

fn narrowed_part(part: &Part, range: TimeRange) -> Option<Part> {
    let is_before = |time: WallTime| time <= range.start;
    let first = part.segments.partition_point(|segment| is_before(segment.range.end)).saturating_sub(1);
    let last = part.segments.partition_point(|segment| segment.range.start < range.end) + 1;
    let segments = part.segments.get(first..last.min(part.segments.len()))?.to_vec();
    (!segments.is_empty()).then(|| Part { segments, ..part.clone() })
}
