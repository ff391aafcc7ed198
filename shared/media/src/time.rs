//! Time, as integers. Wall time is UTC nanoseconds; media time is ticks of a timebase. They meet, and are rescaled, only
//! here; there are no floating-point seconds.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Nanoseconds in a second.
pub const NANOS: i64 = 1_000_000_000;

/// An instant: UTC nanoseconds since 1970-01-01, good for the years 1678 to 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct WallTime(i64);

impl WallTime {
    /// 1970-01-01T00:00:00Z; also the zero of a recording that knows no wall clock.
    pub const EPOCH: Self = Self(0);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since the epoch; `None` outside of the range.
    pub fn from_millis(millis: i64) -> Option<Self> {
        millis.checked_mul(1_000_000).map(Self)
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// This instant moved by `nanos`; `None` outside of the range.
    pub fn checked_add_nanos(self, nanos: i64) -> Option<Self> {
        self.0.checked_add(nanos).map(Self)
    }

    /// This instant moved by `nanos`, held at the ends of the range.
    pub fn saturating_add_nanos(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to this instant; negative if `earlier` is later.
    pub fn nanos_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for WallTime {
    /// RFC 3339 in UTC with as many digits of the second as are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(self.0.into()) {
            Ok(instant) => instant.fmt(f),
            Err(_) => write!(f, "{} ns", self.0),
        }
    }
}

/// A half-open range of wall time: mark-in belongs to it, mark-out doesn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    /// The first instant wanted.
    pub start: WallTime,
    /// The first instant not wanted; not before `start`.
    pub end: WallTime,
}

impl TimeRange {
    /// The range from `start` to `end`; empty if `end` is not after `start`.
    pub fn new(start: WallTime, end: WallTime) -> Self {
        Self { start, end: end.max(start) }
    }

    /// Its length.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end.nanos_since(self.start).max(0).unsigned_abs())
    }

    /// Whether it holds no instant.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether `instant` belongs to it.
    pub fn contains(&self, instant: WallTime) -> bool {
        self.start <= instant && instant < self.end
    }

    /// What it shares with `other`, if that is not empty.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let both = Self { start: self.start.max(other.start), end: self.end.min(other.end) };
        (!both.is_empty()).then_some(both)
    }
}

/// Seconds per tick of media time, as a fraction; both parts are positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timebase {
    num: i32,
    den: i32,
}

impl Timebase {
    /// Nanoseconds.
    pub const NANOS: Self = Self { num: 1, den: NANOS as i32 };

    /// Milliseconds.
    pub(crate) const MILLIS: Self = Self { num: 1, den: 1_000 };

    /// `num / den` seconds per tick; `None` unless both are positive.
    pub fn new(num: i32, den: i32) -> Option<Self> {
        (num > 0 && den > 0).then_some(Self { num, den })
    }

    /// The numerator.
    pub fn num(self) -> i32 {
        self.num
    }

    /// The denominator.
    pub fn den(self) -> i32 {
        self.den
    }

    /// `ticks` of this timebase in ticks of `to`, rounded as asked, held at the ends of the range.
    pub fn rescale(self, ticks: i64, to: Self, rounding: Rounding) -> i64 {
        let numerator = i128::from(ticks) * i128::from(self.num) * i128::from(to.den);
        let denominator = i128::from(self.den) * i128::from(to.num);
        let floor = numerator.div_euclid(denominator);
        let rest = numerator.rem_euclid(denominator);
        let rounded = match rounding {
            Rounding::Down => floor,
            Rounding::Up => floor + i128::from(rest > 0),
            Rounding::Nearest => floor + i128::from(rest * 2 >= denominator),
        };
        rounded.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// `ticks` in nanoseconds, to the nearest.
    pub fn nanos(self, ticks: i64) -> i64 {
        self.rescale(ticks, Self::NANOS, Rounding::Nearest)
    }

    /// The first tick at or after `nanos`. A frame at tick t is at or after that instant if, and only if, t >= this.
    pub fn ticks_at_or_after(self, nanos: i64) -> i64 {
        Self::NANOS.rescale(nanos, self, Rounding::Up)
    }
}

/// Which way a rescaled time is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Toward the past.
    Down,
    /// Toward the future.
    Up,
    /// To the nearest tick, halves toward the future.
    Nearest,
}
