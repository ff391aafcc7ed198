//! What is missing of a range, and what is to become of it.

use errors::Violation;
use media::{
    ClipReport,
    time::{NANOS, TimeRange},
};
use recordings::Reason;
use serde::{Deserialize, Serialize};

/// So much may be missing at the ends of a recording where there may be no gap, in nanoseconds: ends are rounded.
const ROUNDING: i64 = NANOS / 50;

/// What becomes of gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum GapPolicy {
    /// They are closed up.
    #[default]
    Skip,
    /// They are filled with black and silence.
    Fill,
    /// Each stretch between two of them becomes a file.
    Split,
    /// There may be none.
    Fail,
}

/// A stretch of time without media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// From when to when.
    pub range: TimeRange,
    /// Why.
    pub cause: GapCause,
}

/// Why there is no media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GapCause {
    /// The recording has nothing there.
    NotRecorded,
    /// The recording has nothing there, and says so.
    Declared,
    /// Before the recording's first instant, or after its last.
    Outside,
    /// There should be media, but what is there can't be used: what that is.
    Damaged(String),
}

impl GapPolicy {
    /// Whether it puts up with `gaps`.
    ///
    /// # Errors
    /// `Gaps` if there are some and it doesn't.
    pub fn check(self, gaps: &[Gap]) -> Result<(), errors::Error> {
        let counts = |gap: &&Gap| gap.cause != GapCause::Outside || gap.length() > ROUNDING;
        let missing: Vec<&Gap> = gaps.iter().filter(counts).collect();
        let Some(first) = missing.first().filter(|_| self == Self::Fail) else { return Ok(()) };
        let others = match missing.len() - 1 {
            0 => String::new(),
            others => format!(", and {others} more"),
        };
        let message = format!("there is a gap from {} to {}{others}", first.range.start, first.range.end);
        let violation = |gap: &&Gap| {
            Violation::new(format!("{}/{}", gap.range.start, gap.range.end), gap.cause.description().to_owned())
        };
        Err(errors::Error::Gaps { message, gaps: missing.iter().map(violation).collect() })
    }
}

impl Gap {
    /// What the index says is missing; `recorded` is from the recording's first instant to its last.
    pub(super) fn known(gap: recordings::Gap, recorded: TimeRange) -> Self {
        let recordings::Gap { range, reason } = gap;
        let is_outside = range.end <= recorded.start || range.start >= recorded.end;
        let cause = match reason {
            Reason::Unusable(what) => GapCause::Damaged(what),
            Reason::Declared => GapCause::Declared,
            Reason::NotRecorded if is_outside => GapCause::Outside,
            Reason::NotRecorded => GapCause::NotRecorded,
        };
        Self { range, cause }
    }

    /// Nanoseconds.
    pub fn length(&self) -> i64 {
        self.range.end.nanos_since(self.range.start)
    }
}

impl GapCause {
    /// In words.
    fn description(&self) -> &str {
        match self {
            Self::NotRecorded => "nothing was recorded",
            Self::Declared => "the manifest says that nothing was recorded",
            Self::Outside => "outside of the recording",
            Self::Damaged(what) => what,
        }
    }
}

/// The gaps that the index knows and those that were found when the media was read, in order. Where the two speak of the
/// same time, what was read counts: it knows the frames.
pub fn merged<'a>(known: &[Gap], reports: impl IntoIterator<Item = &'a ClipReport>) -> Vec<Gap> {
    let found: Vec<Gap> = reports.into_iter().flat_map(|report| &report.gaps).map(|gap| found(gap, known)).collect();
    let is_told = |gap: &&Gap| found.iter().any(|other| other.range.intersection(&gap.range).is_some());
    let mut gaps: Vec<Gap> = known.iter().filter(|gap| !is_told(gap)).cloned().collect();
    gaps.extend(found);
    gaps.sort_by_key(|gap| (gap.range.start, gap.range.end));
    gaps
}

/// A gap that the media showed; if it is no damage, the index may know why it is there.
fn found(gap: &media::Gap, known: &[Gap]) -> Gap {
    let cause = match &gap.damage {
        Some(damage) => GapCause::Damaged(damage.clone()),
        None => known
            .iter()
            .find(|known| known.range.intersection(&gap.range).is_some())
            .map_or(GapCause::NotRecorded, |known| known.cause.clone()),
    };
    Gap { range: gap.range, cause }
}

#[cfg(test)]
mod tests {
    use media::time::WallTime;

    use super::*;

    fn range(from: i64, to: i64) -> TimeRange {
        TimeRange::new(WallTime::from_nanos(from * NANOS), WallTime::from_nanos(to * NANOS))
    }

    fn gap(from: i64, to: i64, cause: GapCause) -> Gap {
        Gap { range: range(from, to), cause }
    }

    fn report(gaps: Vec<media::Gap>) -> ClipReport {
        ClipReport {
            actual: range(0, 10),
            duration: 0,
            gaps,
            tracks: Vec::new(),
            frames: 0,
            encoded_frames: 0,
            hidden_lead_in: 0,
            size_bytes: 0,
            sha256: String::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn what_lies_outside_is_told_from_what_is_missing() {
        let recorded = range(10, 20);
        let cause = |range, reason| Gap::known(recordings::Gap { range, reason }, recorded).cause;
        assert_eq!(cause(range(5, 10), Reason::NotRecorded), GapCause::Outside);
        assert_eq!(cause(range(12, 14), Reason::NotRecorded), GapCause::NotRecorded);
        assert_eq!(cause(range(20, 25), Reason::NotRecorded), GapCause::Outside);
        assert_eq!(cause(range(12, 14), Reason::Declared), GapCause::Declared);
        assert_eq!(cause(range(12, 14), Reason::Unusable("x".into())), GapCause::Damaged("x".into()));
    }

    #[test]
    fn only_fail_minds_gaps_and_it_names_the_first() {
        let gaps = [gap(3, 4, GapCause::NotRecorded), gap(7, 9, GapCause::Damaged("a.ts is empty".into()))];
        for policy in [GapPolicy::Skip, GapPolicy::Fill, GapPolicy::Split] {
            assert!(policy.check(&gaps).is_ok());
        }
        let Err(errors::Error::Gaps { message, gaps: told }) = GapPolicy::Fail.check(&gaps) else { panic!("no gap") };
        assert_eq!(message, "there is a gap from 1970-01-01T00:00:03Z to 1970-01-01T00:00:04Z, and 1 more");
        assert_eq!((told.len(), told[1].description.as_str()), (2, "a.ts is empty"));
        let rounded = TimeRange::new(WallTime::from_nanos(0), WallTime::from_nanos(ROUNDING));
        assert!(GapPolicy::Fail.check(&[Gap { range: rounded, cause: GapCause::Outside }]).is_ok());
        assert!(GapPolicy::Fail.check(&[]).is_ok());
    }

    #[test]
    fn what_was_read_counts_more_than_what_the_index_says() {
        let known = [gap(3, 5, GapCause::NotRecorded), gap(8, 9, GapCause::NotRecorded)];
        let damage = media::Gap { range: range(6, 7), damage: Some("a.ts is empty".into()) };
        let exact = media::Gap { range: range(2, 5), damage: None };
        let expected = [
            gap(2, 5, GapCause::NotRecorded),
            gap(6, 7, GapCause::Damaged("a.ts is empty".into())),
            gap(8, 9, GapCause::NotRecorded),
        ];
        assert_eq!(merged(&known, [&report(vec![exact]), &report(vec![damage])]), expected);
        assert_eq!(merged(&known, []), known);
    }
}
