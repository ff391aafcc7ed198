//! Packets whose times don't go on from those before: an encoder was restarted without a word, a segment is there twice.

use std::collections::VecDeque;

use super::{Clock, dts, pts};
use crate::{
    ffmpeg::{Packet, Stream},
    time::{NANOS, Rounding, Timebase},
};

/// A distance to the packet before that no pause between two frames explains, where the manifest knows of no gap.
const MAX_STEP: i64 = 10 * NANOS;
/// Decoding times never go back; what goes back by less than this is jitter, and left to the muxer.
const MAX_BACK: i64 = NANOS / 10;
/// Tracks that jump by amounts as near as this jump together.
const SAME_JUMP: i64 = 2 * NANOS;
/// How many packets of a track are remembered, to know them when they come again: more than a segment has.
const REMEMBERED: usize = 4096;
/// Said so many times; a recording with more jumps says no more by them.
const MAX_NOTICES: usize = 20;

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Keep,
    /// It was there before.
    Drop,
}

/// Watches the times of the streams of one part, and mends them.
pub(super) struct Continuity {
    streams: Vec<Follow>,
    /// The longest step forward that isn't a jump of the clock, in nanoseconds. A single file has none: nothing says that
    /// it lacks nothing.
    max_step: i64,
    /// The latest jump, in nanoseconds: what was taken off the times.
    jump: Option<i64>,
    notices: Vec<Notice>,
}

struct Follow {
    timebase: Timebase,
    /// Taken off the times, in ticks.
    shift: i64,
    /// Decoding time and end of the last packet, mended.
    last: Option<(i64, i64)>,
    /// Unmended times and sizes of the last packets.
    seen: VecDeque<(i64, usize)>,
    /// Packets up to this mended decoding time were there before.
    repeated_to: Option<i64>,
}

struct Notice {
    stream: usize,
    /// Where the jump is, in ticks of the stream, mended.
    at: i64,
    what: String,
}

impl Continuity {
    /// For segments with such `gaps` between them, in nanoseconds; `None` where the bytes are one file, or begin with what
    /// is there for its parameters only.
    pub(super) fn new(streams: &[Stream], gaps: Option<i64>) -> Self {
        let max_step = gaps.map_or(i64::MAX, |gaps| MAX_STEP.saturating_add(gaps));
        let follow = |stream: &Stream| Follow {
            timebase: stream.timebase,
            shift: 0,
            last: None,
            seen: VecDeque::new(),
            repeated_to: None,
        };
        Self { streams: streams.iter().map(follow).collect(), max_step, jump: None, notices: Vec::new() }
    }

    /// Forgets what came before: reading goes on elsewhere.
    pub(super) fn restart(&mut self) {
        for stream in &mut self.streams {
            (stream.shift, stream.last, stream.repeated_to) = (0, None, None);
            stream.seen.clear();
        }
        self.jump = None;
    }

    /// Gives `packet` the times that go on from those before it.
    pub(super) fn place(&mut self, packet: &mut Packet) -> Step {
        let index = packet.stream();
        let Some(follow) = self.streams.get_mut(index) else { return Step::Keep };
        let (raw, size) = (dts(packet), packet.size());
        let time = raw - follow.shift;
        if follow.repeated_to.is_some_and(|end| time <= end) {
            return Step::Drop;
        }
        follow.repeated_to = None;
        let jump = follow.last.map_or(0, |(last, end)| {
            let forward = follow.timebase.nanos(time - end);
            match () {
                () if follow.timebase.nanos(time - last) < -MAX_BACK => forward,
                () if forward > self.max_step => forward,
                () => 0,
            }
        });
        if jump != 0 {
            if jump < 0 && follow.seen.contains(&(raw, size)) {
                let (last, _) = follow.last.unwrap_or_default();
                follow.repeated_to = Some(last);
                let what = "media that was there already comes again, and is left out".to_owned();
                self.note(index, last, what);
                return Step::Drop;
            }
            self.jump_by(index, jump);
        }
        let follow = &mut self.streams[index];
        let shift = follow.shift;
        packet.set_pts(Some(pts(packet) - shift));
        packet.set_dts(Some(raw - shift));
        follow.last = Some((raw - shift, raw - shift + packet.duration().max(0)));
        follow.seen.push_back((raw, size));
        if follow.seen.len() > REMEMBERED {
            follow.seen.pop_front();
        }
        Step::Keep
    }

    fn jump_by(&mut self, index: usize, jump: i64) {
        let together = self.jump.filter(|other| (other - jump).abs() < SAME_JUMP);
        let jump = together.unwrap_or(jump);
        let follow = &mut self.streams[index];
        follow.shift += Timebase::NANOS.rescale(jump, follow.timebase, Rounding::Nearest);
        let at = follow.last.map_or(0, |(_, end)| end);
        if together.is_none() {
            let millis = jump / 1_000_000;
            self.note(
                index,
                at,
                format!("the clock of the recording jumps by {millis} ms; what follows goes on from there"),
            );
        }
        self.jump = Some(jump);
    }

    fn note(&mut self, stream: usize, at: i64, what: String) {
        if self.notices.len() < MAX_NOTICES {
            self.notices.push(Notice { stream, at, what });
        }
    }

    /// Up to when each stream was read, in ticks.
    pub(super) fn reached(&self) -> impl Iterator<Item = (usize, i64)> {
        self.streams.iter().enumerate().filter_map(|(index, stream)| Some((index, stream.last?.1)))
    }

    /// What was odd, and when on the wall.
    pub(super) fn take_notices(&mut self, clock: impl Fn(usize) -> Clock, track_of: &[Option<usize>]) -> Vec<String> {
        let notices = std::mem::take(&mut self.notices).into_iter();
        let told = notices.filter_map(|Notice { stream, at, what }| {
            let track = track_of.get(stream).copied().flatten()?;
            Some(format!("at {}: {what}", clock(track).wall(at)))
        });
        told.collect()
    }
}
