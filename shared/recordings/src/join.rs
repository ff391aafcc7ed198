//! Spans: where a stretch of the main rendition (video, if there is any) and one of the audio rendition run together.

use media::time::{TimeRange, WallTime};

use crate::track::Stretch;

/// How far an audio stretch's start may be from the video's and still be meant to be the same instant, in nanoseconds:
/// the renditions' segments end where a frame does, and an audio frame ends elsewhere.
const SLACK: i64 = 500_000_000;

/// A stretch of the main rendition, or a part of one, that runs beside one stretch at most of each audio rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Joint {
    pub(crate) range: TimeRange,
    /// Index of the main rendition's stretch.
    pub(crate) main: usize,
}

impl Joint {
    /// The stretch of an audio rendition that shares most with it; the first of equals.
    pub(crate) fn beside<'a>(&self, audio: &'a [Stretch]) -> Option<&'a Stretch> {
        best(self.range, audio).map(|index| &audio[index])
    }
}

/// Joins stretches, all in order of time. The main ones are kept whole, but where another audio stretch starts in the
/// middle of one. The audio may be missing at the ends: silence needs no span of its own.
pub(crate) fn join(main: &[Stretch], audio: &[&[Stretch]]) -> Vec<Joint> {
    let mut joints: Vec<Joint> = Vec::with_capacity(main.len());
    for (index, stretch) in main.iter().enumerate() {
        let mut start = stretch.range.start;
        for end in cuts(stretch.range, audio) {
            joints.push(Joint { range: TimeRange::new(start, end), main: index });
            start = end;
        }
    }
    joints
}

/// Where to cut `range` so that no two stretches of one audio rendition are beside a piece; the last cut is its end.
fn cuts(range: TimeRange, audio: &[&[Stretch]]) -> Vec<WallTime> {
    let mut starts: Vec<WallTime> =
        audio.iter().flat_map(|audio| beside(range, audio).skip(1).map(|(_, shared)| shared.start)).collect();
    starts.sort_unstable();
    let mut cuts = Vec::new();
    let mut last = range.start;
    for start in starts {
        if start.nanos_since(last) > SLACK && range.end.nanos_since(start) > SLACK {
            cuts.push(start);
            last = start;
        }
    }
    cuts.push(range.end);
    cuts
}

/// The audio stretch that shares most with `range`; the first of equals.
fn best(range: TimeRange, audio: &[Stretch]) -> Option<usize> {
    beside(range, audio).max_by_key(|(index, shared)| (shared.duration(), usize::MAX - index)).map(|(index, _)| index)
}

/// The audio stretches that share something with `range`, and what.
fn beside(range: TimeRange, audio: &[Stretch]) -> impl Iterator<Item = (usize, TimeRange)> {
    let first = audio.partition_point(|audio| audio.range.end <= range.start);
    let shared = move |(index, audio): (usize, &Stretch)| Some((first + index, audio.range.intersection(&range)?));
    audio[first..].iter().enumerate().map_while(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(from: f64, to: f64) -> TimeRange {
        let at = |seconds: f64| WallTime::from_nanos((seconds * 1e9) as i64);
        TimeRange::new(at(from), at(to))
    }

    fn check(main: &[(f64, f64)], audio: &[(f64, f64)], expected: &[(f64, f64, usize, Option<usize>)]) {
        let stretches = |ranges: &[(f64, f64)]| -> Vec<_> {
            ranges.iter().map(|(from, to)| Stretch { segments: 0..1, range: seconds(*from, *to), init: None }).collect()
        };
        let expected: Vec<_> =
            expected.iter().map(|&(from, to, main, audio)| (Joint { range: seconds(from, to), main }, audio)).collect();
        let beside = stretches(audio);
        let joints = join(&stretches(main), &[&beside]).into_iter();
        let found: Vec<_> = joints.map(|joint| (joint, best(joint.range, &beside))).collect();
        assert_eq!(found, expected, "{main:?} with {audio:?}");
    }

    #[test]
    fn without_audio_stretches_are_spans() {
        check(&[(0.0, 4.0), (6.0, 9.0)], &[], &[(0.0, 4.0, 0, None), (6.0, 9.0, 1, None)]);
    }

    #[test]
    fn audio_that_ends_a_little_elsewhere_is_beside() {
        check(&[(0.0, 10.0)], &[(0.0, 9.98)], &[(0.0, 10.0, 0, Some(0))]);
        let (main, audio) = ([(0.0, 10.0), (10.0, 20.0)], [(0.0, 10.05), (10.05, 20.1)]);
        check(&main, &audio, &[(0.0, 10.0, 0, Some(0)), (10.0, 20.0, 1, Some(1))]);
        check(&[(0.0, 10.0), (10.0, 20.0)], &[(0.0, 20.0)], &[(0.0, 10.0, 0, Some(0)), (10.0, 20.0, 1, Some(0))]);
    }

    #[test]
    fn audio_that_changes_in_the_middle_cuts_a_span() {
        check(&[(0.0, 10.0)], &[(0.0, 4.0), (4.0, 10.0)], &[(0.0, 4.0, 0, Some(0)), (4.0, 10.0, 0, Some(1))]);
        check(&[(0.0, 10.0)], &[(0.0, 3.0), (7.0, 10.0)], &[(0.0, 7.0, 0, Some(0)), (7.0, 10.0, 0, Some(1))]);
    }

    #[test]
    fn audio_that_is_short_is_beside() {
        check(&[(0.0, 10.0)], &[(4.0, 12.0)], &[(0.0, 10.0, 0, Some(0))]);
        check(&[(0.0, 10.0), (20.0, 30.0)], &[(0.0, 6.0)], &[(0.0, 10.0, 0, Some(0)), (20.0, 30.0, 1, None)]);
    }
}
