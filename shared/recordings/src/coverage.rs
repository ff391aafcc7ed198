//! What of a range was recorded, what wasn't and why, and what was odd about it.

use std::collections::BTreeMap;

use media::time::{NANOS, TimeRange, WallTime};

/// How many notices and reasons are kept.
const MAX_NOTICES: usize = 1000;

/// How far a file's name may be from the gap that the file leaves, in nanoseconds: names may tell whole seconds only.
const NAME_SLACK: i64 = NANOS;

/// What was recorded in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// What was recorded, in order; none touches another.
    pub spans: Vec<TimeRange>,
    /// What is missing, in order.
    pub gaps: Vec<Gap>,
    /// Whether the recording may have become longer since.
    pub is_growing: bool,
    /// Where to go on: what is said holds up to here. `None` if it is all that was asked for.
    pub next: Option<WallTime>,
}

/// A range of which nothing was recorded, or nothing that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// When.
    pub range: TimeRange,
    /// Why.
    pub reason: Reason,
}

/// Why something is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nothing was recorded.
    NotRecorded,
    /// The manifest says that it is missing.
    Declared,
    /// A file can't be used; names it, and says what is wrong with it.
    Unusable(String),
}

/// Something odd about a recording that was made the best of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// Where in the recording.
    pub at: WallTime,
    /// What: names the thing and the value.
    pub text: String,
}

/// Notices, each once, up to a number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notices(BTreeMap<WallTime, String>);

impl Notices {
    pub(crate) fn add(&mut self, at: WallTime, text: String) {
        if self.0.len() < MAX_NOTICES || self.0.contains_key(&at) {
            self.0.entry(at).or_insert(text);
        }
    }

    /// Moves all of them in time.
    pub(crate) fn shift(&mut self, nanos: i64) {
        let all = std::mem::take(&mut self.0);
        self.0 = all.into_iter().map(|(at, text)| (at.saturating_add_nanos(nanos), text)).collect();
    }

    pub(crate) fn all(&self) -> Vec<Notice> {
        self.0.iter().map(|(at, text)| Notice { at: *at, text: text.clone() }).collect()
    }
}

/// Collects what covers a range, in order of time.
pub(crate) struct Builder {
    range: TimeRange,
    limit: usize,
    /// Distances up to this are no gaps.
    tolerance: i64,
    spans: Vec<TimeRange>,
    reasons: BTreeMap<WallTime, Reason>,
    /// Where it was broken off.
    stopped: Option<WallTime>,
}

impl Builder {
    /// For up to `limit` spans of `range`; distances up to `tolerance` nanoseconds are no gaps.
    pub(crate) fn new(range: TimeRange, limit: usize, tolerance: i64) -> Self {
        Self { range, limit: limit.max(1), tolerance, spans: Vec::new(), reasons: BTreeMap::new(), stopped: None }
    }

    /// Whether nothing more is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.stopped.is_some()
    }

    /// `recorded` was recorded.
    pub(crate) fn add(&mut self, recorded: TimeRange) {
        let Some(recorded) = recorded.intersection(&self.range).filter(|_| !self.is_full()) else { return };
        let is_last = self.spans.len() == self.limit;
        match self.spans.last_mut() {
            Some(last) if recorded.start.nanos_since(last.end) <= self.tolerance => {
                last.end = last.end.max(recorded.end);
            }
            _ if is_last => self.stop(recorded.start),
            _ => self.spans.push(recorded),
        }
    }

    /// Why there is nothing at `at`.
    pub(crate) fn explain(&mut self, at: WallTime, reason: Reason) {
        if self.reasons.len() < MAX_NOTICES {
            self.reasons.entry(at).or_insert(reason);
        }
    }

    /// Nothing is known from `at` on.
    pub(crate) fn stop(&mut self, at: WallTime) {
        self.stopped = Some(at.max(self.spans.last().map_or(self.range.start, |last| last.end)).min(self.range.end));
    }

    pub(crate) fn finish(self, is_growing: bool) -> Coverage {
        let known = TimeRange::new(self.range.start, self.stopped.unwrap_or(self.range.end));
        let gaps = missing(known, self.spans.iter().copied(), self.tolerance).into_iter();
        let gaps = gaps.map(|range| Gap { range, reason: self.reason(range) }).collect();
        let next = self.stopped.filter(|stopped| *stopped < self.range.end);
        Coverage { spans: self.spans, gaps, is_growing, next }
    }

    fn reason(&self, gap: TimeRange) -> Reason {
        let from = gap.start.saturating_add_nanos(-NAME_SLACK);
        let known = self.reasons.range(from..gap.end.max(from)).next();
        known.map_or(Reason::NotRecorded, |(_, reason)| reason.clone())
    }
}

/// What lies between ranges that are in order. Distances up to `tolerance` are no gaps.
pub(crate) fn gaps_between(ranges: impl Iterator<Item = TimeRange>, tolerance: i64) -> Vec<TimeRange> {
    let mut gaps = Vec::new();
    let mut end = None;
    for range in ranges {
        if let Some(end) = end.filter(|end| range.start.nanos_since(*end) > tolerance) {
            gaps.push(TimeRange::new(end, range.start));
        }
        end = Some(range.end);
    }
    gaps
}

/// What of `range` is not in `covered`, whose ranges are in order and inside it.
pub(crate) fn missing(
    range: TimeRange,
    covered: impl Iterator<Item = TimeRange> + Clone,
    tolerance: i64,
) -> Vec<TimeRange> {
    let start = covered.clone().next().map_or(range.end, |first| first.start);
    let end = covered.clone().last().map_or(range.end, |last| last.end);
    let lead = TimeRange::new(range.start, start);
    let tail = TimeRange::new(end, range.end);
    let inside = gaps_between(covered, tolerance);
    [lead].into_iter().chain(inside).chain([tail]).filter(|gap| !gap.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: i64, to: i64) -> TimeRange {
        TimeRange::new(WallTime::from_nanos(from * NANOS), WallTime::from_nanos(to * NANOS))
    }

    #[test]
    fn pages_add_up_to_the_whole() {
        let recorded: Vec<_> = (0..10).map(|n| range(n * 10, n * 10 + 8 - n % 2)).collect();
        let all = |limit| {
            let (mut from, mut spans, mut gaps) = (0, Vec::new(), Vec::new());
            loop {
                let mut builder = Builder::new(range(from, 120), limit, 0);
                recorded.iter().for_each(|span| builder.add(*span));
                let page = builder.finish(false);
                assert!(page.spans.len() <= limit);
                spans.extend(page.spans);
                gaps.extend(page.gaps);
                match page.next {
                    Some(next) => from = next.nanos() / NANOS,
                    None => return (spans, gaps),
                }
            }
        };
        assert_eq!(all(100).0, recorded);
        assert_eq!((all(100).1.len(), all(100).1[9].range), (10, range(97, 120)));
        assert_eq!(all(1), all(100));
        assert_eq!(all(3), all(100));
    }

    #[test]
    fn gaps_have_their_reasons() {
        let mut builder = Builder::new(range(0, 100), 9, 0);
        builder.add(range(0, 10));
        builder.explain(range(11, 0).start, Reason::Unusable("x is empty".into()));
        builder.add(range(20, 30));
        builder.add(range(30, 40));
        builder.add(range(50, 60));
        let found = builder.finish(true);
        assert_eq!(found.spans, [range(0, 10), range(20, 40), range(50, 60)]);
        let reasons: Vec<_> = found.gaps.iter().map(|gap| (gap.range, gap.reason.clone())).collect();
        assert_eq!(reasons[0], (range(10, 20), Reason::Unusable("x is empty".into())));
        assert_eq!(reasons[1..], [(range(40, 50), Reason::NotRecorded), (range(60, 100), Reason::NotRecorded)]);
    }
}
