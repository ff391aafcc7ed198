//! One span of an audio track that goes through its samples: decoded, cut to the sample, and put where it belongs.

use std::collections::VecDeque;

use super::track::{Samples, SoundTrack};
use crate::{
    Error,
    ffmpeg::{Decoder, Frame, Packet, Resampler, Stream},
    source::{Clock, pts},
    time::{NANOS, WallTime},
};

/// Decoding begins so long before mark-in: more than any codec needs to find its feet.
const PREROLL: i64 = NANOS / 2;
/// Time stamps that are off by less than this are taken for rounding, those that are off by more for a hole, whatever the
/// length of a frame: in parts of a second.
const LEAST_SLACK: i64 = 500;
const MOST_SLACK: i64 = 20;

/// One span of an audio track.
pub(crate) struct SoundRun {
    clock: Clock,
    /// What is at `offset` in the file.
    start: WallTime,
    /// In nanoseconds of the file.
    offset: i64,
    source: Option<Source>,
    mark_out: WallTime,
    is_final: bool,
    held: VecDeque<Packet>,
    thread: Thread,
    done: bool,
}

enum Source {
    Decoder(Box<Decoder>, Option<Resampler>),
    Pcm,
}

/// Where the samples being read belong. Time stamps are rounded, and jitter: what they say is believed only where they
/// leave the count of samples by more than that.
#[derive(Debug, Default)]
struct Thread {
    /// Samples of the file and of the source that were counted since: `anchor` is where the first belongs.
    anchor: Option<i64>,
    read: i64,
    /// Samples in a second of the source.
    rate: i64,
    /// Where the next sample that comes out of the resampler goes.
    next: i64,
}

impl Thread {
    /// Takes the time stamp of `samples` of the source. True if they don't follow those before.
    fn follow(&mut self, claimed: i64, samples: i64, rate: i64, target: i64) -> bool {
        let length = samples * target / rate.max(1);
        let slack = (length * 3 / 4).clamp(target / LEAST_SLACK, target / MOST_SLACK);
        let expected = self.anchor.map(|anchor| anchor.saturating_add(self.read * target / self.rate.max(1)));
        let is_new =
            self.rate != rate || expected.is_none_or(|expected| claimed.abs_diff(expected) > slack.unsigned_abs());
        if is_new {
            *self = Self { anchor: Some(claimed), read: 0, rate, next: self.next };
        }
        self.read += samples;
        is_new
    }
}

impl SoundRun {
    /// The run of `stream` in a span, of which `start` is at `offset` nanoseconds of the file. What lies beyond `mark_out`
    /// is held until that is final.
    ///
    /// # Errors
    /// `Unsupported` if it can't be decoded.
    pub(crate) fn new(
        stream: &Stream,
        track: &SoundTrack,
        clock: Clock,
        (start, offset): (WallTime, i64),
        (mark_out, is_final): (WallTime, bool),
    ) -> Result<Self, Error> {
        let source = match track.layout() {
            Some(_) => Source::Pcm,
            None => Source::Decoder(Box::new(Decoder::open(stream, 1)?), None),
        };
        let (held, thread) = (VecDeque::new(), Thread::default());
        let source = Some(source);
        Ok(Self { clock, start, offset, source, mark_out, is_final, held, thread, done: false })
    }

    /// The time of the file, in nanoseconds, of an instant of the source.
    fn place(&self, instant: WallTime) -> i64 {
        self.offset.saturating_add(instant.nanos_since(self.start))
    }

    /// When in the file `packet` begins, as it says, in nanoseconds; not beyond the end.
    pub(crate) fn begins(&self, packet: &Packet) -> i64 {
        self.place(self.clock.wall(pts(packet)).min(self.mark_out))
    }

    /// Up to when the span has sound by now.
    pub(crate) fn reached(&self, track: &SoundTrack) -> WallTime {
        self.start.saturating_add_nanos(track.end() - self.offset)
    }

    /// Whether the whole range has been seen.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Takes the next packet of the source.
    ///
    /// # Errors
    /// What decoding and encoding say.
    pub(crate) fn push(&mut self, packet: Packet, track: &mut SoundTrack, out: &mut Vec<Packet>) -> Result<(), Error> {
        let (begin, end) = (self.clock.wall(pts(&packet)), self.clock.wall(pts(&packet) + packet.duration().max(0)));
        if !self.is_final && end >= self.mark_out {
            self.held.push_back(packet);
            return Ok(());
        }
        self.done |= begin >= self.mark_out;
        if self.done || end.nanos_since(self.start) < -PREROLL {
            return Ok(());
        }
        self.read(Some(&packet), track, out)
    }

    /// Says where the span really ends; not before where it was meant to.
    ///
    /// # Errors
    /// What decoding and encoding say.
    pub(crate) fn settle(
        &mut self,
        mark_out: WallTime,
        track: &mut SoundTrack,
        out: &mut Vec<Packet>,
    ) -> Result<(), Error> {
        (self.mark_out, self.is_final) = (mark_out, true);
        while let Some(packet) = self.held.pop_front() {
            self.push(packet, track, out)?;
        }
        Ok(())
    }

    /// Ends the span: what is held in decoder and resampler comes out.
    ///
    /// # Errors
    /// What decoding and encoding say.
    pub(crate) fn finish(&mut self, track: &mut SoundTrack, out: &mut Vec<Packet>) -> Result<(), Error> {
        self.read(None, track, out)?;
        let Some(Source::Decoder(_, Some(resampler))) = &mut self.source else { return Ok(()) };
        let rest = Samples::Planes(resampler.convert(None)?);
        self.put(rest, track, out)
    }

    fn read(&mut self, packet: Option<&Packet>, track: &mut SoundTrack, out: &mut Vec<Packet>) -> Result<(), Error> {
        let Some(mut source) = self.source.take() else { return Ok(()) };
        let result = match (&mut source, packet) {
            (Source::Pcm, Some(packet)) => self.take_bytes(packet, track, out),
            (Source::Pcm, None) => Ok(()),
            (Source::Decoder(decoder, resampler), packet) => {
                let mut each = |frame: Frame| self.take_frame(&frame, resampler, track, out);
                match packet {
                    Some(packet) => decoder.decode(packet, &mut each),
                    None => decoder.finish(&mut each),
                }
            }
        };
        self.source = Some(source);
        result
    }

    fn take_frame(
        &mut self,
        frame: &Frame,
        resampler: &mut Option<Resampler>,
        track: &mut SoundTrack,
        out: &mut Vec<Packet>,
    ) -> Result<(), Error> {
        let (Some(shape), Some(time)) = (frame.sound_shape(), frame.pts()) else { return Ok(()) };
        let claimed = track.position(self.place(self.clock.wall(time)));
        let (samples, rate, target) = (frame.samples() as i64, shape.rate.into(), track.shape().rate.into());
        let is_new = self.thread.follow(claimed, samples, rate, target);
        let fits = resampler.as_ref().is_some_and(|resampler| resampler.takes(frame));
        if (is_new || !fits)
            && let Some(mut old) = resampler.take()
        {
            let rest = Samples::Planes(old.convert(None)?);
            self.put(rest, track, out)?;
        }
        if is_new || !fits {
            self.thread.next = claimed;
        }
        let resampler = match resampler {
            Some(resampler) => resampler,
            none => none.insert(Resampler::new(frame, track.shape())?),
        };
        let planes = Samples::Planes(resampler.convert(Some(frame))?);
        self.put(planes, track, out)
    }

    fn take_bytes(&mut self, packet: &Packet, track: &mut SoundTrack, out: &mut Vec<Packet>) -> Result<(), Error> {
        let Some(layout) = track.layout() else { return Ok(()) };
        let data = packet.data().unwrap_or_default();
        let whole = data.len() / layout.block;
        let samples = Samples::Bytes(data[..whole * layout.block].to_vec(), layout.block);
        let claimed = track.position(self.place(self.clock.wall(pts(packet))));
        let rate = track.shape().rate.into();
        if self.thread.follow(claimed, whole as i64, rate, rate) {
            self.thread.next = claimed;
        }
        self.put(samples, track, out)
    }

    /// Puts samples behind those before, less what lies outside of the span.
    fn put(&mut self, mut samples: Samples, track: &mut SoundTrack, out: &mut Vec<Packet>) -> Result<(), Error> {
        let at = self.thread.next;
        self.thread.next = at.saturating_add(samples.len() as i64);
        let (from, to) = (track.position(self.offset), track.position(self.place(self.mark_out)));
        let at = samples.keep(at, from, to);
        track.put(at, samples, out)
    }
}
