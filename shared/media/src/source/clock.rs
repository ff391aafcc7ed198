//! Between wall time and media time.

use crate::time::{Rounding, Timebase, WallTime};

/// Between wall time and the media time of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(super) anchor: i64,
    pub(super) wall: WallTime,
    /// Seconds in a tick.
    pub(crate) timebase: Timebase,
}

impl Clock {
    /// The first tick at or after `instant`: a frame is at or after it if, and only if, its time is not below. Wall times
    /// are whole nanoseconds, rounded from ticks here and there, so a frame less than one before counts as there.
    pub(crate) fn at_or_after(&self, instant: WallTime) -> i64 {
        let nanos = instant.nanos_since(self.wall).saturating_sub(1);
        self.anchor.saturating_add(self.timebase.ticks_at_or_after(nanos))
    }

    /// The tick nearest to `instant`.
    pub(crate) fn nearest(&self, instant: WallTime) -> i64 {
        let ticks = Timebase::NANOS.rescale(instant.nanos_since(self.wall), self.timebase, Rounding::Nearest);
        self.anchor.saturating_add(ticks)
    }

    /// The instant of `ticks`, to the nanosecond.
    pub(crate) fn wall(&self, ticks: i64) -> WallTime {
        self.wall.saturating_add_nanos(self.timebase.nanos(ticks.saturating_sub(self.anchor)))
    }
}
