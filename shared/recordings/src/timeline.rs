//! The timeline of a manifest: spans of time, and for any range of it the bytes that hold it.

use std::collections::HashMap;

use media::{
    Anchor, Input, Part, Piece, Segment, Span,
    time::{TimeRange, WallTime},
};

use crate::{
    Coverage, Error, Selection, TOLERANCE,
    coverage::{self, Notice, Notices, Reason},
    join::{Joint, join},
    track::{Address, Clock, Stretch, Track},
};

/// What a manifest lists.
#[derive(Debug)]
pub(crate) struct Timeline {
    sections: Vec<Section>,
    /// In order of time, none overlapping. Never empty.
    spans: Vec<RecordedSpan>,
    /// What the manifest says is missing, in order of time.
    declared: Vec<TimeRange>,
    notices: Notices,
}

/// Renditions that run side by side: one of video, or of video and audio, and those of audio where they are apart.
#[derive(Debug)]
pub(crate) struct Section {
    /// Says what was recorded when.
    pub(crate) main: Track,
    pub(crate) audio: Vec<Track>,
}

#[derive(Debug)]
struct RecordedSpan {
    section: usize,
    joint: Joint,
}

impl Timeline {
    /// The timeline of sections in order of time; `uid` is for messages.
    pub(crate) fn new(uid: &str, sections: Vec<Section>, notices: Notices) -> Result<Self, Error> {
        let (mut spans, mut notices): (Vec<RecordedSpan>, _) = (Vec::new(), notices);
        for (section, Section { main, audio }) in sections.iter().enumerate() {
            let audio: Vec<&[Stretch]> = audio.iter().map(|track| track.stretches.as_slice()).collect();
            for mut joint in join(&main.stretches, &audio) {
                // Two sections that overlap: the earlier one counts.
                let last = spans.last().map_or(joint.range.start, |span| span.joint.range.end);
                let early = last.nanos_since(joint.range.start);
                if early > TOLERANCE {
                    let text = format!("a part begins {} ms before the end of the one before", early / 1_000_000);
                    notices.add(joint.range.start, text);
                }
                joint.range = TimeRange::new(joint.range.start.max(last), joint.range.end);
                if !joint.range.is_empty() {
                    spans.push(RecordedSpan { section, joint });
                }
            }
        }
        if spans.is_empty() {
            return Err(Error::unusable(uid, "has no segments"));
        }
        let mut declared: Vec<_> = sections.iter().flat_map(|section| section.main.declared.iter().copied()).collect();
        declared.sort_by_key(|range| range.start);
        Ok(Self { sections, spans, declared, notices })
    }

    pub(crate) fn range(&self) -> TimeRange {
        let range = |span: Option<&RecordedSpan>| span.map(|span| span.joint.range).unwrap_or(EMPTY);
        TimeRange::new(range(self.spans.first()).start, range(self.spans.last()).end)
    }

    pub(crate) fn spans(&self) -> impl Iterator<Item = TimeRange> {
        self.spans.iter().map(|span| span.joint.range)
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.notices.all()
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        let tracks = self.sections.iter().flat_map(|section| [&section.main].into_iter().chain(&section.audio));
        size_of_val(&*self.spans) + size_of_val(&*self.declared) + tracks.map(Track::bytes).sum::<usize>()
    }

    /// The segments that hold `range`, and what is missing of it.
    pub(crate) fn select(&self, range: TimeRange) -> Result<Selection, Error> {
        let mut selected = Selected::default();
        let mut spans = Vec::new();
        for span in &self.spans[self.first(range.start)..] {
            let Some(covered) = span.joint.range.intersection(&range) else { break };
            spans.push(Span { range: covered, parts: self.parts(span, covered, &mut selected)? });
        }
        let gaps = coverage::missing(range, spans.iter().map(|span| span.range), TOLERANCE);
        Ok(Selection { input: Input { sources: selected.sources, spans }, gaps })
    }

    pub(crate) fn coverage(&self, range: TimeRange, limit: usize, is_growing: bool) -> Coverage {
        let mut coverage = coverage::Builder::new(range, limit, TOLERANCE);
        for span in &self.spans[self.first(range.start)..] {
            if span.joint.range.start >= range.end || coverage.is_full() {
                break;
            }
            coverage.add(span.joint.range);
        }
        let first = self.declared.partition_point(|gap| gap.end <= range.start);
        for gap in self.declared[first..].iter().take_while(|gap| gap.start < range.end).take(limit) {
            coverage.explain(gap.start, Reason::Declared);
        }
        coverage.finish(is_growing)
    }

    /// The gap around `range`.
    pub(crate) fn gap(&self, range: TimeRange) -> TimeRange {
        let next = self.first(range.start);
        let before = next.checked_sub(1).and_then(|before| self.spans.get(before));
        let (before, next) = (before.map(|span| span.joint.range), self.spans.get(next).map(|span| span.joint.range));
        TimeRange::new(before.map_or(range.start, |span| span.end), next.map_or(range.end, |span| span.start))
    }

    /// The first span that ends after `instant`.
    fn first(&self, instant: WallTime) -> usize {
        self.spans.partition_point(|span| span.joint.range.end <= instant)
    }

    fn parts(&self, span: &RecordedSpan, covered: TimeRange, selected: &mut Selected) -> Result<Vec<Part>, Error> {
        let Section { main, audio } = &self.sections[span.section];
        let mut parts = vec![part(main, &main.stretches[span.joint.main], covered, selected)?];
        for track in audio {
            let stretch = span.joint.beside(&track.stretches);
            if let Some(stretch) = stretch.filter(|stretch| stretch.range.intersection(&covered).is_some()) {
                parts.push(part(track, stretch, covered, selected)?);
            }
        }
        Ok(parts)
    }
}

const EMPTY: TimeRange = TimeRange { start: WallTime::EPOCH, end: WallTime::EPOCH };

fn part(track: &Track, stretch: &Stretch, range: TimeRange, selected: &mut Selected) -> Result<Part, Error> {
    let mut segment = |index| {
        let piece = selected.piece(track.segments.address(index)?);
        Ok(Segment { piece, range: track.segments.range(index) })
    };
    let segments: Vec<_> = track.touched(stretch, range).map(&mut segment).collect::<Result<_, Error>>()?;
    let anchor = match track.clock(track.segment_at(stretch, range.start)) {
        Clock::Ticks { ticks, timescale, wall } => Anchor::Ticks { ticks, timescale, wall },
        Clock::FirstKeyframe { segment: index, wall } => Anchor::FirstKeyframe { piece: segment(index)?.piece, wall },
    };
    let init = stretch.init.map(|init| selected.piece(track.inits[init].clone()));
    Ok(Part { format: track.format, init, segments, anchor, language: track.language.clone() })
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
