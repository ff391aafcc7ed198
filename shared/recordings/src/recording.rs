//! What was recorded when, and the look-up of a range in it.

use std::collections::HashMap;

use media::{
    Anchor, Input, Part, Piece, Segment, Span,
    time::{TimeRange, WallTime},
};

use crate::{
    Error, TOLERANCE,
    join::{Joint, join},
    track::{Address, Clock, Stretch, Track},
};

/// A recording: spans of time, and for any range of it the bytes that hold it.
#[derive(Debug)]
pub struct Recording {
    uid: String,
    sections: Vec<Section>,
    /// In order of time, none overlapping. Never empty.
    spans: Vec<RecordedSpan>,
    /// Whether its times are wall times.
    has_clock: bool,
    is_growing: bool,
    /// What is added to the times of the layout, in nanoseconds.
    shift: i64,
}

/// Renditions that run side by side: one of video, or of video and audio, and one of audio where that is apart.
#[derive(Debug)]
pub(crate) struct Section {
    /// Says what was recorded when.
    pub(crate) main: Track,
    pub(crate) audio: Option<Track>,
}

#[derive(Debug)]
struct RecordedSpan {
    section: usize,
    joint: Joint,
}

/// What a range of a recording is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// What to read. Its spans lie inside the range.
    pub input: Input,
    /// What of the range was not recorded, in order.
    pub gaps: Vec<TimeRange>,
}

impl Recording {
    /// A recording of sections in order of time. Without a clock, its first instant becomes [`WallTime::EPOCH`].
    pub(crate) fn new(uid: &str, sections: Vec<Section>, has_clock: bool, is_growing: bool) -> Result<Self, Error> {
        let mut spans: Vec<RecordedSpan> = Vec::new();
        for (section, Section { main, audio }) in sections.iter().enumerate() {
            let audio = audio.as_ref().map_or(&[][..], |audio| &audio.stretches);
            for mut joint in join(&main.stretches, audio) {
                // Two sections that overlap: the earlier one counts.
                let last = spans.last().map_or(joint.range.start, |span| span.joint.range.end);
                joint.range = TimeRange::new(joint.range.start.max(last), joint.range.end);
                if !joint.range.is_empty() {
                    spans.push(RecordedSpan { section, joint });
                }
            }
        }
        let Some(first) = spans.first() else {
            return Err(Error::unusable(uid, "has no segments"));
        };
        let shift = if has_clock { 0 } else { WallTime::EPOCH.nanos_since(first.joint.range.start) };
        Ok(Self { uid: uid.into(), sections, spans, has_clock, is_growing, shift })
    }

    /// When it began; `None` if it knows no wall clock, and its times begin at [`WallTime::EPOCH`].
    pub fn start(&self) -> Option<WallTime> {
        self.has_clock.then_some(self.range().start)
    }

    /// From its first instant to its last.
    pub fn range(&self) -> TimeRange {
        let [first, .., last] = self.spans.as_slice() else { return self.span(0) };
        self.outer(TimeRange { start: first.joint.range.start, end: last.joint.range.end })
    }

    /// The stretches of time without a gap, a change of clock or of coding in them, in order.
    pub fn spans(&self) -> impl Iterator<Item = TimeRange> {
        (0..self.spans.len()).map(|index| self.span(index))
    }

    /// What is missing between its first instant and its last, in order.
    pub fn gaps(&self) -> Vec<TimeRange> {
        gaps_between(self.spans())
    }

    /// Whether it may have become longer since it was looked at.
    pub fn is_growing(&self) -> bool {
        self.is_growing
    }

    /// Gives a clock to a recording that has none; one that has a clock keeps it.
    pub fn with_start(self, start: WallTime) -> Self {
        if self.has_clock {
            return self;
        }
        let shift = self.shift.saturating_add(start.nanos_since(self.range().start));
        Self { shift, has_clock: true, ..self }
    }

    /// The segments that hold `range`, and what is missing of it. What it costs rises with the length of the range, not
    /// with that of the recording.
    ///
    /// # Errors
    /// `OutOfRange` or `InGap` if nothing of it was recorded, `Unusable` if the manifest points to where it may not.
    pub fn select(&self, range: TimeRange) -> Result<Selection, Error> {
        let first = self.spans.partition_point(|span| self.outer(span.joint.range).end <= range.start);
        let mut selected = Selected::default();
        let mut spans = Vec::new();
        for (index, span) in self.spans.iter().enumerate().skip(first) {
            let Some(covered) = self.span(index).intersection(&range) else { break };
            spans.push(Span { range: covered, parts: self.parts(span, covered, &mut selected)? });
        }
        if spans.is_empty() {
            return Err(self.nothing(range, first));
        }
        let gaps = missing(range, spans.iter().map(|span| span.range));
        Ok(Selection { input: Input { sources: selected.sources, spans }, gaps })
    }

    fn nothing(&self, asked: TimeRange, next: usize) -> Error {
        let (uid, recorded) = (self.uid.clone(), self.range());
        if next == 0 || next == self.spans.len() {
            return Error::OutOfRange { uid, asked, recorded };
        }
        Error::InGap { uid, asked, gap: TimeRange::new(self.span(next - 1).end, self.span(next).start) }
    }

    fn parts(&self, span: &RecordedSpan, covered: TimeRange, selected: &mut Selected) -> Result<Vec<Part>, Error> {
        let Section { main, audio } = &self.sections[span.section];
        let mut parts = vec![self.part(main, &main.stretches[span.joint.main], covered, selected)?];
        let audio = audio.as_ref().zip(span.joint.audio).map(|(track, stretch)| (track, &track.stretches[stretch]));
        if let Some((track, stretch)) = audio
            && self.outer(stretch.range).intersection(&covered).is_some()
        {
            parts.push(self.part(track, stretch, covered, selected)?);
        }
        Ok(parts)
    }

    fn part(&self, track: &Track, stretch: &Stretch, range: TimeRange, selected: &mut Selected) -> Result<Part, Error> {
        let inner = self.inner(range);
        let mut segment = |index| {
            let piece = selected.piece(track.segments.address(index)?);
            Ok(Segment { piece, range: self.outer(track.segments.range(index)) })
        };
        let segments: Vec<_> = track.touched(stretch, inner).map(&mut segment).collect::<Result<_, Error>>()?;
        let anchor = match track.clock(track.segment_at(stretch, inner.start)) {
            Clock::Ticks { ticks, timescale, wall } => Anchor::Ticks { ticks, timescale, wall: self.shifted(wall) },
            Clock::FirstKeyframe { segment: index, wall } => {
                Anchor::FirstKeyframe { piece: segment(index)?.piece, wall: self.shifted(wall) }
            }
        };
        let init = stretch.init.map(|init| selected.piece(track.inits[init].clone()));
        Ok(Part { format: track.format, init, segments, anchor, language: track.language.clone() })
    }

    fn span(&self, index: usize) -> TimeRange {
        self.outer(self.spans[index].joint.range)
    }

    fn shifted(&self, wall: WallTime) -> WallTime {
        wall.saturating_add_nanos(self.shift)
    }

    /// A range in the times of the layout as one of the recording, and the other way round.
    fn outer(&self, range: TimeRange) -> TimeRange {
        TimeRange::new(self.shifted(range.start), self.shifted(range.end))
    }

    fn inner(&self, range: TimeRange) -> TimeRange {
        let back = |wall: WallTime| wall.saturating_add_nanos(self.shift.saturating_neg());
        TimeRange::new(back(range.start), back(range.end))
    }
}

/// The sources of a selection, each once.
#[derive(Default)]
struct Selected {
    sources: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Selected {
    fn piece(&mut self, address: Address) -> Piece {
        let Address { name, offset, length } = address;
        let next = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        let source = *self.numbers.entry(name).or_insert_with_key(|name| {
            self.sources.push(name.clone());
            next
        });
        Piece { source, offset, length }
    }
}

/// What lies between ranges that are in order. Rounding is no gap.
fn gaps_between(ranges: impl Iterator<Item = TimeRange>) -> Vec<TimeRange> {
    let mut gaps = Vec::new();
    let mut end = None;
    for range in ranges {
        if let Some(end) = end.filter(|end| range.start.nanos_since(*end) > TOLERANCE) {
            gaps.push(TimeRange::new(end, range.start));
        }
        end = Some(range.end);
    }
    gaps
}

/// What of `range` is not in `covered`, whose ranges are in order and inside it.
fn missing(range: TimeRange, covered: impl Iterator<Item = TimeRange> + Clone) -> Vec<TimeRange> {
    let start = covered.clone().next().map_or(range.end, |first| first.start);
    let end = covered.clone().last().map_or(range.end, |last| last.end);
    let lead = TimeRange::new(range.start, start);
    let tail = TimeRange::new(end, range.end);
    let inside = gaps_between(covered);
    [lead].into_iter().chain(inside).chain([tail]).filter(|gap| !gap.is_empty()).collect()
}
