//! What time it is: an argument to every rule, never read inside one.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// What the wall clock says. It may jump; it is for people.
    fn wall(&self) -> SystemTime;

    /// An instant that never goes back nor jumps while the process lives: what leases and delays are measured with. Close
    /// to the wall time at the start of the process, so that values stored by an earlier process still make sense.
    fn steady(&self) -> SystemTime;
}

/// The machine's clock.
#[derive(Debug, Clone)]
pub struct SystemClock {
    started: Instant,
    started_wall: SystemTime,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: Instant::now(), started_wall: SystemTime::now() }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn steady(&self) -> SystemTime {
        self.started_wall + self.started.elapsed()
    }
}

/// Nanoseconds since 1970, as the database keeps them; held at the ends of what fits (years 1678 to 2262).
pub(crate) fn nanos(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

/// The time that is `nanos` after (or, negative, before) 1970.
pub(crate) fn time(nanos: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    if nanos < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_survive_both_ways() {
        for value in [0, 1, -1, 1_700_000_000_123_456_789, i64::MAX, -i64::MAX] {
            assert_eq!(nanos(time(value)), value);
        }
        let far = UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) * 100);
        assert_eq!(nanos(far), i64::MAX, "a time that doesn't fit is held at the end");
    }

    #[test]
    fn the_system_clock_is_near_the_wall_and_never_goes_back() {
        let clock = SystemClock::default();
        let (first, second) = (clock.steady(), clock.steady());
        assert!(first <= second);
        let apart = clock.wall().duration_since(first).unwrap_or_default();
        assert!(apart < Duration::from_secs(60), "{apart:?}");
    }
}
