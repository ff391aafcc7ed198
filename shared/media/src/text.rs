//! Cutting text: cues begin and end with the clip, however long before or after it they are shown.
//!
//! ```text
//! text.rs    one span of a track of text, cut and placed
//! events.rs  what has a time but no length: pictures of subtitles, markers, metadata
//! units.rs   metadata as a TS carries it
//! ```

mod events;
mod units;

use std::collections::VecDeque;

pub(crate) use events::EventCutter;

use crate::{
    Error,
    ffmpeg::{Caption, Packet, Parameters, Stream, TextConverter, packet_of},
    source::{Clock, pts},
    time::{NANOS, Rounding, Timebase, WallTime},
};

/// Text has times of milliseconds: that is what most of its sources have.
pub(crate) const TEXT_TIMEBASE: Timebase = Timebase::MILLIS;
/// A QuickTime text without letters.
pub(crate) const NO_TEXT: [u8; 2] = [0, 0];
/// More cues than this at once are nobody's to read.
const MAX_HELD: usize = 512;

/// A track of text in the file.
pub(crate) enum TextTrack {
    /// Its source is QuickTime text already.
    Copied,
    /// It is converted.
    Converted(Box<TextConverter>),
}

impl TextTrack {
    /// A track that the text of `stream` is converted for.
    ///
    /// # Errors
    /// `Unsupported` if it can't be.
    pub(crate) fn converted(stream: &Stream) -> Result<Self, Error> {
        Ok(Self::Converted(Box::new(TextConverter::open(stream)?)))
    }

    /// What a muxer needs to know of a converted track; `None` where the source's parameters stay as they are.
    pub(crate) fn parameters(&self) -> Option<Parameters> {
        match self {
            Self::Copied => None,
            Self::Converted(converter) => Some(converter.parameters()),
        }
    }

    fn read(&mut self, packet: &Packet) -> Result<Option<Caption>, Error> {
        match self {
            Self::Copied => {
                let text = packet.data().filter(|data| !data.is_empty() && data[..2.min(data.len())] != NO_TEXT);
                Ok(Some(Caption { text: text.unwrap_or_default().to_vec(), delay: 0, until: None }))
            }
            Self::Converted(converter) => converter.convert(packet),
        }
    }
}

/// A cue, in wall time.
struct Cue {
    start: WallTime,
    /// Absent while nothing has said when it ends: then the next cue does.
    end: Option<WallTime>,
    text: Vec<u8>,
}

/// One span of a track of text. Its packets have the times of the file.
pub(crate) struct TextRun {
    clock: Clock,
    /// What is at `offset` nanoseconds of the file.
    start: WallTime,
    offset: i64,
    /// Where the span ends; not before, until that is final.
    mark_out: WallTime,
    is_final: bool,
    /// Cues that wait for an end: their own, or the span's.
    held: VecDeque<Cue>,
}

impl TextRun {
    /// A span of which `start` is at `offset` nanoseconds of the file, and whose end is final or not.
    pub(crate) fn new(clock: Clock, (start, offset): (WallTime, i64), (mark_out, is_final): (WallTime, bool)) -> Self {
        Self { clock, start, offset, mark_out, is_final, held: VecDeque::new() }
    }

    /// Takes the next packet of the source.
    ///
    /// # Errors
    /// What decoding says; `Limit` for more cues than can be meant.
    pub(crate) fn push(&mut self, packet: &Packet, track: &mut TextTrack, out: &mut Vec<Packet>) -> Result<(), Error> {
        let Some(caption) = track.read(packet)? else { return Ok(()) };
        let time = self.clock.wall(pts(packet));
        let millis = |count: u32| time.saturating_add_nanos(i64::from(count) * (NANOS / 1_000));
        let start = millis(caption.delay);
        let whole = (packet.duration() > 0).then(|| self.clock.wall(pts(packet).saturating_add(packet.duration())));
        if let Some(last) = self.held.back_mut()
            && last.end.is_none_or(|end| end > start)
        {
            // QuickTime text is shown one at a time.
            last.end = Some(start.max(last.start));
        }
        if !caption.text.is_empty() {
            self.held.push_back(Cue { start, end: caption.until.map(millis).or(whole), text: caption.text });
        }
        if self.held.len() > MAX_HELD {
            return Err(Error::Limit(format!("the source shows more than {MAX_HELD} cues at once")));
        }
        self.write(out);
        Ok(())
    }

    /// Says where the span really ends; not before where it was meant to.
    pub(crate) fn settle(&mut self, mark_out: WallTime, out: &mut Vec<Packet>) {
        (self.mark_out, self.is_final) = (mark_out, true);
        self.write(out);
    }

    /// Ends the span, which has pictures or sound up to `end`: a cue that nothing has ended lasts up to there.
    pub(crate) fn finish(&mut self, end: WallTime, out: &mut Vec<Packet>) {
        self.mark_out = if self.is_final { self.mark_out.min(end) } else { end };
        while !self.held.is_empty() {
            self.write_front(out);
        }
    }

    /// Writes the cues that can't change any more: another follows, and the span's end doesn't move theirs.
    fn write(&mut self, out: &mut Vec<Packet>) {
        let ends = |cue: &Cue| cue.end.is_some_and(|end| end <= self.mark_out);
        let settled = self.held.iter().take(self.held.len().saturating_sub(1)).take_while(|cue| ends(cue)).count();
        (0..settled).for_each(|_| self.write_front(out));
    }

    fn write_front(&mut self, out: &mut Vec<Packet>) {
        let Some(cue) = self.held.pop_front() else { return };
        let place = |instant: WallTime| {
            let nanos = self.offset.saturating_add(instant.nanos_since(self.start));
            Timebase::NANOS.rescale(nanos, TEXT_TIMEBASE, Rounding::Nearest)
        };
        let from = place(cue.start.max(self.start));
        let to = place(cue.end.map_or(self.mark_out, |end| end.min(self.mark_out)));
        if from < to {
            out.push(packet_of(&cue.text, from, to - from));
        }
    }
}
