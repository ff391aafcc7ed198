//! Taking what is damaged out of what is read, so that it is a gap like any other.

use super::{SPAN_SLACK, coverage::Hole};
use crate::{
    Anchor, Gap, Input, Part, Piece, Segment, Span,
    time::{TimeRange, WallTime},
};

/// Takes `hole` out of `input`: a span that it lies in becomes two. Returns the gap that it leaves.
pub(crate) fn exclude(input: &mut Input, hole: &Hole) -> Gap {
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

/// Takes the piece that begins at an offset of a source out of `input`, and returns the hole that it leaves in `wanted`.
/// `None` if nothing is read from there.
pub(super) fn hole_of_piece(
    input: &mut Input,
    (source, offset): (u32, u64),
    problem: &str,
    wanted: TimeRange,
) -> Option<Hole> {
    let is_piece = |piece: &Piece| piece.source == source && piece.offset == offset;
    let (mut lost, mut was_anchor): (Option<TimeRange>, bool) = (None, false);
    for part in input.spans.iter_mut().flat_map(|span| &mut span.parts) {
        // Without its init segment nothing of a part can be read.
        let is_init = part.init.as_ref().is_some_and(is_piece);
        let damaged = part.segments.extract_if(.., |segment| is_init || is_piece(&segment.piece));
        lost = damaged.map(|segment| segment.range).fold(lost, |lost, range| Some(union(lost, range)));
        was_anchor |= settle_anchor(part, is_piece);
    }
    for span in &mut input.spans {
        span.parts.retain(|part| !part.segments.is_empty());
    }
    input.spans.retain(|span| !span.parts.is_empty());
    // It may have set a clock alone, which is settled now.
    let range = match lost {
        None if was_anchor => TimeRange::new(wanted.start, wanted.start),
        lost => lost?,
    };
    // Segments are read from beyond the range too; nothing of the clip is lost with these.
    let range = range.intersection(&wanted).unwrap_or(TimeRange::new(range.start, range.start));
    Some(Hole { range, source: Some((source, offset)), problem: problem.to_owned() })
}

fn union(range: Option<TimeRange>, more: TimeRange) -> TimeRange {
    range.map_or(more, |range| TimeRange::new(range.start.min(more.start), range.end.max(more.end)))
}

/// A clock that is set by a keyframe that can't be read is set by the next segment's. Says whether it was.
fn settle_anchor(part: &mut Part, is_damaged: impl Fn(&Piece) -> bool) -> bool {
    if let Anchor::FirstKeyframe { piece, .. } = &part.anchor
        && is_damaged(piece)
        && let Some(first) = part.segments.first()
    {
        part.anchor = Anchor::FirstKeyframe { piece: first.piece, wall: first.range.start };
        return true;
    }
    false
}

/// The part of `span` in `range`: its segments, and one more before, which may hold what the first refers to.
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
    let is_in = |segment: &Segment| range.end.nanos_since(segment.range.start) > SPAN_SLACK;
    let segments = part.segments.get(first..part.segments.partition_point(is_in))?.to_vec();
    (!segments.is_empty()).then(|| Part { segments, ..part.clone() })
}
