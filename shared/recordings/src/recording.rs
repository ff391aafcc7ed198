//! What was recorded when, and the look-up of a range in it.

use std::sync::Arc;

use media::{
    Anchor, Input,
    time::{TimeRange, WallTime},
};

use crate::{
    Coverage, Error, Notice, Probe, TOLERANCE,
    coverage::{Notices, gaps_between},
    folder::Folder,
    timeline::{Section, Timeline},
};

/// A recording: spans of time, and for any range of it the bytes that hold it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recording {
    uid: Arc<str>,
    layout: Layout,
    /// Whether its times are wall times.
    has_clock: bool,
    is_growing: bool,
    /// What is added to the times of the layout, in nanoseconds.
    shift: i64,
}

#[derive(Debug, Clone)]
enum Layout {
    Manifest(Arc<Timeline>),
    Folder(Arc<Folder>),
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
    pub(crate) fn of_sections(
        uid: &str,
        sections: Vec<Section>,
        has_clock: bool,
        is_growing: bool,
        notices: Notices,
    ) -> Result<Self, Error> {
        let timeline = Timeline::new(uid, sections, notices)?;
        let shift = if has_clock { 0 } else { WallTime::EPOCH.nanos_since(timeline.range().start) };
        Ok(Self { uid: uid.into(), layout: Layout::Manifest(Arc::new(timeline)), has_clock, is_growing, shift })
    }

    /// The recording in a folder.
    pub(crate) fn of_folder(uid: &str, folder: Folder) -> Self {
        let is_growing = folder.is_growing();
        Self { uid: uid.into(), layout: Layout::Folder(Arc::new(folder)), has_clock: true, is_growing, shift: 0 }
    }

    /// When it began; `None` if it knows no wall clock, and its times begin at [`WallTime::EPOCH`].
    pub fn start(&self) -> Option<WallTime> {
        self.has_clock.then_some(self.range().start)
    }

    /// From its first instant to its last.
    pub fn range(&self) -> TimeRange {
        self.outer(match &self.layout {
            Layout::Manifest(timeline) => timeline.range(),
            Layout::Folder(folder) => folder.range(),
        })
    }

    /// The stretches of time without a gap, a change of clock or of coding in them, in order. Of a folder of files, all
    /// of its time as one: what is in it takes [`Self::coverage`] to tell.
    pub fn spans(&self) -> Vec<TimeRange> {
        match &self.layout {
            Layout::Manifest(timeline) => timeline.spans().map(|span| self.outer(span)).collect(),
            Layout::Folder(_) => vec![self.range()],
        }
    }

    /// What is missing between its spans, in order.
    pub fn gaps(&self) -> Vec<TimeRange> {
        gaps_between(self.spans().into_iter(), TOLERANCE)
    }

    /// Whether it may have become longer since it was looked at.
    pub fn is_growing(&self) -> bool {
        self.is_growing
    }

    /// What was odd about it, as far as it was looked at: overlaps, jumps of its clock. At most a thousand, in order.
    pub fn notices(&self) -> Vec<Notice> {
        let mut notices = match &self.layout {
            Layout::Manifest(timeline) => timeline.notices(),
            Layout::Folder(folder) => folder.notices(),
        };
        notices.iter_mut().for_each(|notice| notice.at = self.shifted(notice.at));
        notices
    }

    /// Gives a clock to a recording that has none; one that has a clock keeps it.
    pub fn with_start(self, start: WallTime) -> Self {
        if self.has_clock {
            return self;
        }
        self.moved_to(start)
    }

    /// The recording as if it had begun at `start`.
    pub(crate) fn moved_to(self, start: WallTime) -> Self {
        let shift = self.shift.saturating_add(start.nanos_since(self.range().start));
        Self { shift, has_clock: true, ..self }
    }

    /// The segments that hold `range`, and what is missing of it. What it costs rises with the length of the range, not
    /// with that of the recording. In a folder of files, those that the range touches are looked into with `probe`,
    /// unless they were before.
    ///
    /// # Errors
    /// `OutOfRange` or `InGap` if nothing of it was recorded, `Unusable` if the manifest points to where it may not,
    /// `Probe` or `Io` if a file can't be looked into.
    pub fn select(&self, range: TimeRange, probe: &dyn Probe) -> Result<Selection, Error> {
        let mut selection = match &self.layout {
            Layout::Manifest(timeline) => timeline.select(self.inner(range))?,
            Layout::Folder(folder) => folder.select(self.inner(range), probe)?,
        };
        if selection.input.spans.is_empty() {
            return Err(self.nothing(range, probe)?);
        }
        self.shift(&mut selection);
        Ok(selection)
    }

    /// What of `range` was recorded, in up to `limit` spans, at least one: where there are more, `next` says where to go
    /// on. Neighbours that touch are one span, whatever changes between them. The cost of a call is bounded: in a folder
    /// of files, a few dozen are looked into at most, where their names leave a doubt; a file that isn't is taken to
    /// reach to the next, if that comes about when files usually do.
    ///
    /// # Errors
    /// `Probe` or `Io` if a file can't be looked into.
    pub fn coverage(&self, range: TimeRange, limit: usize, probe: &dyn Probe) -> Result<Coverage, Error> {
        let mut coverage = match &self.layout {
            Layout::Manifest(timeline) => timeline.coverage(self.inner(range), limit, self.is_growing),
            Layout::Folder(folder) => folder.coverage(self.inner(range), limit, probe)?,
        };
        coverage.spans.iter_mut().for_each(|span| *span = self.outer(*span));
        coverage.gaps.iter_mut().for_each(|gap| gap.range = self.outer(gap.range));
        coverage.next = coverage.next.map(|next| self.shifted(next));
        Ok(coverage)
    }

    /// About how many bytes it takes, without what it shares with its library.
    pub(crate) fn bytes(&self) -> usize {
        match &self.layout {
            Layout::Manifest(timeline) => timeline.bytes(),
            Layout::Folder(_) => 0,
        }
    }

    fn nothing(&self, asked: TimeRange, probe: &dyn Probe) -> Result<Error, Error> {
        let (uid, recorded) = (self.uid.to_string(), self.range());
        if asked.end <= recorded.start || asked.start >= recorded.end {
            return Ok(Error::OutOfRange { uid, asked, recorded });
        }
        let gap = match &self.layout {
            Layout::Manifest(timeline) => timeline.gap(self.inner(asked)),
            Layout::Folder(folder) => folder.gap(self.inner(asked), probe)?,
        };
        Ok(Error::InGap { uid, asked, gap: self.outer(gap) })
    }

    fn shift(&self, selection: &mut Selection) {
        if self.shift == 0 {
            return;
        }
        selection.gaps.iter_mut().for_each(|gap| *gap = self.outer(*gap));
        for span in &mut selection.input.spans {
            span.range = self.outer(span.range);
            for part in &mut span.parts {
                let (Anchor::Ticks { wall, .. } | Anchor::FirstKeyframe { wall, .. }) = &mut part.anchor;
                *wall = self.shifted(*wall);
                part.segments.iter_mut().for_each(|segment| segment.range = self.outer(segment.range));
            }
        }
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
