//! One span while it is cut: its clocks, its bounds, and what each track is waiting for.

use super::{
    method::{Method, Wanted},
    tracks::TrackLayout,
};
use crate::{
    ClipTask, Container, Cut, Error,
    audio::{AudioCutter, Edges, SoundRun},
    carry::Carry,
    cut::{Bounds, Opening},
    ffmpeg::{Packet, audio_frame},
    passage::{Lane, Passage},
    source::{Clock, SpanReader, frame_nanos, pts},
    text::{EventCutter, TextRun},
    time::{NANOS, Rounding, Timebase, WallTime},
};

/// Sound may lag behind the pictures in a file by so much; what is read beyond that is of no more use.
const MAX_LAG: i64 = 5 * NANOS;
/// Assumed where a source doesn't state its frame rate.
const USUAL_FRAME: i64 = NANOS / 25;

/// Where in the file a span goes.
pub(super) struct Place<'a> {
    /// Nanoseconds that were written before it.
    pub(super) offset: i64,
    /// Whether nothing was.
    pub(super) is_first: bool,
    /// Whether it goes on from the span before without a gap.
    pub(super) continues: bool,
    /// The tracks of the source, and of the file.
    pub(super) tracks: &'a [TrackLayout],
}

/// A video frame that was written: from when to when it is shown, in ticks of the source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shown {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) is_key: bool,
    pub(super) is_damaged: bool,
}

/// From the times of a track of the source to those of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeMap {
    from: Timebase,
    zero: i64,
    to: Timebase,
    offset: i64,
}

impl TimeMap {
    pub(super) fn apply(&self, packet: &mut Packet) {
        let map = |ticks: i64| self.offset + self.from.rescale(ticks - self.zero, self.to, Rounding::Nearest);
        if self.from != self.to {
            // The end stays where it is, whatever the start is rounded to.
            let end = packet.pts().map(|pts| map(pts + packet.duration()));
            let length = end.zip(packet.pts()).map_or(0, |(end, pts)| end - map(pts));
            packet.set_duration(length);
        }
        packet.set_pts(packet.pts().map(map));
        packet.set_dts(packet.dts().map(map));
    }
}

/// One span while it is cut.
pub(super) struct SpanRun {
    pub(super) video: Option<usize>,
    pub(super) bounds: Bounds,
    /// What becomes zero in the file: the first frame shown.
    pub(super) zero: i64,
    /// The end of the last frame written.
    pub(super) end: i64,
    pub(super) frame_ticks: i64,
    pub(super) mark_out: Option<WallTime>,
    /// The clock that `zero` and `end` are in: the video's, or the first track's.
    pub(super) clock: Clock,
    pub(super) clocks: Vec<Clock>,
    /// The video frames written.
    pub(super) shown: Vec<Shown>,
    /// Where in the file the times of each track go; `None` where they are those of the file.
    pub(super) maps: Vec<Option<TimeMap>>,
    /// The tracks beside the video.
    pub(super) audio: Vec<Option<Passage>>,
}

impl SpanRun {
    /// `None` if no frame of the span lies in the range.
    pub(super) fn new(
        task: &ClipTask,
        way: (&Method, Cut),
        place: &Place<'_>,
        reader: &SpanReader,
        wanted: &Wanted<'_>,
        opening: &Opening,
    ) -> Result<Option<Self>, Error> {
        let video = reader.video();
        let clocks: Vec<_> = (0..reader.tracks().len()).map(|track| reader.clock(track)).collect();
        let clock = clocks[video.unwrap_or_else(|| reader.first_sound())];
        let mark_out = wanted.mark_out.map_or(i64::MAX, |mark_out| clock.at_or_after(mark_out));
        let base = match video {
            Some(_) => opening.base,
            None => Some(clock.at_or_after(wanted.mark_in)),
        };
        let Some(base) = base.filter(|base| *base < mark_out) else { return Ok(None) };
        let zero = match way {
            (Method::Copy(_), Cut::Keyframe) => opening.video.first().map_or(base, |key| base.min(pts(key))),
            _ => base,
        };
        let edges = match task.container {
            Container::Mp4 | Container::Mov if place.is_first => Edges::Hidden,
            _ => Edges::Shown,
        };
        let start = clock.wall(zero);
        let audio = (0..clocks.len())
            .map(|track| passage(reader, place, track, edges, start, wanted))
            .collect::<Result<Vec<_>, _>>()?;
        let maps = clocks.iter().zip(&audio).zip(place.tracks).map(|((clock, passage), layout)| {
            let is_placed = passage.as_ref().is_some_and(Passage::is_placed);
            (!is_placed).then(|| TimeMap {
                from: clock.timebase,
                zero: clock.nearest(start),
                to: layout.timebase,
                offset: Timebase::NANOS.rescale(place.offset, layout.timebase, Rounding::Nearest),
            })
        });
        let frame = video.and_then(|video| frame_nanos(reader.stream(video).info.frame_rate)).unwrap_or(USUAL_FRAME);
        Ok(Some(Self {
            video,
            bounds: Bounds { base, mark_out },
            zero,
            end: zero,
            frame_ticks: Timebase::NANOS.rescale(frame, clock.timebase, Rounding::Nearest).max(1),
            mark_out: wanted.mark_out,
            clock,
            maps: maps.collect(),
            audio,
            clocks,
            shown: Vec::new(),
        }))
    }

    /// Whether `packet` comes so late that no sound of the clip is to be expected behind it.
    pub(super) fn is_beyond(&self, track: usize, packet: &Packet) -> bool {
        // Text and data may have any time; nobody waits for them.
        if matches!(self.audio.get(track), Some(Some(Passage::Text(_) | Passage::Events(..)))) {
            return false;
        }
        self.clocks[track].wall(pts(packet)).nanos_since(self.clock.wall(self.end)) > MAX_LAG
    }

    pub(super) fn wants_audio(&self) -> bool {
        self.audio.iter().flatten().any(|passage| !passage.is_done())
    }
}

/// How a track beside the video is cut; `None` if it isn't in the file.
fn passage(
    reader: &SpanReader,
    place: &Place<'_>,
    track: usize,
    edges: Edges,
    start: WallTime,
    wanted: &Wanted<'_>,
) -> Result<Option<Passage>, Error> {
    let layout = &place.tracks[track];
    let clock = reader.clock(track);
    // Without video nothing else can move the end; manifests round.
    let is_final = reader.video().is_none();
    let slack = if is_final && wanted.mark_out.is_none() { NANOS } else { 0 };
    let end = (wanted.end().saturating_add_nanos(slack), is_final);
    // What is stored with this span and heard before it may be what the span before lacks: sound is never in step with the
    // pictures that files are divided by. What is there already isn't taken again.
    let lead = if place.continues { layout.lead(place.offset) } else { 0 };
    let start = start.saturating_add_nanos(-lead);
    let begin = (start, place.offset - lead);
    Ok(match (&layout.lane, &layout.carry) {
        (_, None | Some(Carry::Drop(_))) => None,
        (Lane::Sound(sound), _) => {
            let run = SoundRun::new(reader.stream(track), sound, clock, begin, end)?;
            Some(Passage::Sound(Box::new(run)))
        }
        (Lane::Text(_), _) => Some(Passage::Text(TextRun::new(clock, begin, end))),
        (Lane::Packets, Some(Carry::Events(kind))) => {
            let cutter = EventCutter::new(clock.nearest(start), clock.at_or_after(end.0), *kind);
            Some(Passage::Events(clock, cutter))
        }
        (Lane::Packets, _) => Some(Passage::Frames(clock, frames(reader, track, edges, start, wanted.mark_out))),
    })
}

/// The cutter of an audio track that is copied. Without video nothing else can move the end, so it is final at once.
fn frames(reader: &SpanReader, track: usize, edges: Edges, start: WallTime, mark_out: Option<WallTime>) -> AudioCutter {
    let clock = reader.clock(track);
    let frame = audio_frame(reader.parameters(track)).unwrap_or(0);
    let frame_ticks = Timebase::NANOS.rescale(frame, clock.timebase, Rounding::Nearest);
    let mark_out = mark_out.map_or(i64::MAX, |mark_out| clock.nearest(mark_out));
    let mut cutter = AudioCutter::new(edges, clock.nearest(start), mark_out, frame_ticks);
    if reader.video().is_none() {
        cutter.settle(mark_out, &mut Vec::new());
    }
    cutter
}
