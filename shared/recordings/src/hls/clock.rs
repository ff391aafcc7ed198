//! Wall time along a playlist. Dates and durations are rounded there, presentation times in the media are not: so the
//! durations are added up for as long as the dates agree, and a date is believed only where they no longer do.

use media::time::WallTime;

use crate::TOLERANCE;

/// How a segment follows on the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its media continues, and so does the count of time.
    Continues,
    /// Its media continues, but the durations have drifted from the dates: time is counted from its date.
    Corrected,
    /// Its date jumps: media is missing before it, or overlaps if the jump is back.
    Jumps,
    /// It has the first date of the playlist, so much after what was counted so far from [`WallTime::EPOCH`].
    Dates(i64),
}

/// Counts wall time along a playlist.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock {
    /// Where the next segment starts if it says nothing else.
    now: WallTime,
    /// Where it starts according to the last date and the durations since; `None` before the first date.
    stated: Option<WallTime>,
    /// How many durations were added up since the last date.
    durations: i64,
}

/// What rounding may add to a sum for each duration, in nanoseconds: some write whole milliseconds.
const ROUNDING: i64 = 500_000;

impl Clock {
    /// Where the next segment starts if it says nothing else.
    pub(crate) fn now(&self) -> WallTime {
        self.now
    }

    /// When a segment starts that has this date, and how it follows on the one before.
    pub(crate) fn start(&mut self, date: Option<WallTime>) -> (WallTime, Step) {
        let Some(date) = date else { return (self.now, Step::Continues) };
        // One duration is in the tolerance already.
        let rounding = ROUNDING.saturating_mul(self.durations - 1).max(0);
        let step = match self.stated {
            None => Step::Dates(date.nanos_since(self.now)),
            // Between two dates there is no time to drift: it is a jump.
            Some(stated) if date.nanos_since(stated).saturating_abs() > TOLERANCE + rounding => Step::Jumps,
            Some(_) if date.nanos_since(self.now).saturating_abs() > TOLERANCE => Step::Corrected,
            Some(_) => Step::Continues,
        };
        (self.stated, self.durations) = (Some(date), 0);
        if step != Step::Continues {
            self.now = date;
        }
        (self.now, step)
    }

    /// Moves on by a segment's duration, in nanoseconds. Returns its end, or `None` beyond the range of times.
    pub(crate) fn advance(&mut self, duration: i64) -> Option<WallTime> {
        self.now = self.now.checked_add_nanos(duration)?;
        self.durations += 1;
        if let Some(stated) = self.stated {
            self.stated = Some(stated.checked_add_nanos(duration)?);
        }
        Some(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn at(millis: i64) -> WallTime {
        WallTime::from_nanos(millis * MS)
    }

    /// Each segment: its date in ms, its duration in µs; expected: its start in µs, and its step.
    fn check(segments: &[(Option<i64>, i64)], expected: &[(i64, Step)]) {
        let mut clock = Clock::default();
        for ((date, duration), (start, step)) in segments.iter().zip(expected) {
            let found = clock.start(date.map(at));
            assert_eq!(found, (WallTime::from_nanos(start * 1000), *step), "in {segments:?}");
            clock.advance(duration * 1000).expect("in range");
        }
    }

    #[test]
    fn dates_that_agree_within_rounding_do_not_disturb_the_count() {
        check(
            &[(Some(1000), 1_001_000), (Some(2001), 1_001_000), (Some(3001), 1_001_000), (Some(4004), 1_001_000)],
            &[
                (1_000_000, Step::Dates(1000 * MS)),
                (2_001_000, Step::Continues),
                (3_002_000, Step::Continues),
                (4_003_000, Step::Continues),
            ],
        );
    }

    #[test]
    fn without_dates_time_starts_at_the_epoch() {
        check(&[(None, 2_000_000), (None, 500)], &[(0, Step::Continues), (2_000_000, Step::Continues)]);
    }

    #[test]
    fn first_date_comes_late() {
        check(
            &[(None, 2_000_000), (Some(10_000), 2_000_000), (None, 1)],
            &[(0, Step::Continues), (10_000_000, Step::Dates(8000 * MS)), (12_000_000, Step::Continues)],
        );
    }

    #[test]
    fn a_date_ahead_or_back_is_a_jump() {
        check(
            &[(Some(0), 1_000_000), (Some(1021), 1_000_000), (Some(1000), 1_000_000), (Some(2020), 1_000_000)],
            &[(0, Step::Dates(0)), (1_021_000, Step::Jumps), (1_000_000, Step::Jumps), (2_000_000, Step::Continues)],
        );
    }

    #[test]
    fn drift_is_corrected_without_a_jump() {
        let mut clock = Clock::default();
        let corrected: Vec<_> = (0..1000)
            .filter(|index| {
                // 2 s by the camera's clock are 2.0004 s on the wall: 200 ppm.
                let step = clock.start(Some(WallTime::from_nanos(index * 2_000_400_000))).1;
                clock.advance(2_000_000_000).expect("in range");
                assert_ne!(step, Step::Jumps);
                step == Step::Corrected
            })
            .collect();
        assert_eq!(corrected[..3], [51, 102, 153]);
    }

    #[test]
    fn rounding_adds_up_between_rare_dates() {
        let mut clock = Clock::default();
        clock.start(Some(at(0)));
        // 1.9583333 s each, written as 1.958.
        (0..100).for_each(|_| assert!(clock.advance(1_958 * MS).is_some()));
        assert_eq!(clock.start(Some(at(195_833))), (at(195_833), Step::Corrected));
        (0..100).for_each(|_| assert!(clock.advance(1_958 * MS).is_some()));
        assert_eq!(clock.start(Some(at(195_833 + 195_900))).1, Step::Jumps);
    }

    #[test]
    fn times_beyond_the_range_are_noticed() {
        let mut clock = Clock::default();
        clock.start(Some(WallTime::from_nanos(i64::MAX - 5)));
        assert_eq!(clock.advance(6), None);
    }
}
