//! The tracks of the file, and how those beside the video are written.

use super::{
    assembly::Assembly,
    layout::{Known, configuration},
    method::{Chosen, Method},
    run::SpanRun,
};
use crate::{
    ClipTask, Container, Cut, Damage, Error, GapFill, TrackFate, TrackKind,
    audio::{FILL_STEP, Order, Silence, SoundTrack},
    carry::{Carry, carry},
    ffmpeg::{Encoder, OutputStream, Packet, extradata, packet_of},
    nal::ParameterSets,
    passage::{Lane, Passage},
    source::{SpanReader, pts},
    text::{NO_TEXT, TEXT_TIMEBASE, TextTrack},
    time::{NANOS, Rounding, Timebase},
};

/// Sound is stored no farther than this from the pictures that it goes with, in nanoseconds.
const MAX_LEAD: i64 = NANOS / 2;

/// A track of the source, and the track of the file that it becomes.
pub(super) struct TrackLayout {
    /// What becomes of it; `None` for the video.
    pub(super) carry: Option<Carry>,
    /// Its index in the file, if it is in it.
    pub(super) output: Option<usize>,
    /// What it keeps from span to span.
    pub(super) lane: Lane,
    /// What gaps in it are filled with, if they are to be, it is sound, and it is copied; or why they can't be.
    silence: Option<Result<Silence, Error>>,
    /// Seconds in a tick of the packets that are written.
    pub(super) timebase: Timebase,
    signature: Signature,
    pub(super) order: Order,
    /// Packets written, and what the index of the file counts: packets, or samples where they are stored one by one.
    pub(super) packets: u64,
    pub(super) units: u64,
}

/// What tells whether packets can go on where others end.
#[derive(PartialEq)]
struct Signature {
    kind: TrackKind,
    codec: String,
    configuration: Vec<u8>,
}

impl Signature {
    fn of(reader: &SpanReader, track: usize) -> Self {
        let stream = reader.stream(track);
        Self {
            kind: stream.info.kind,
            codec: stream.info.codec.clone(),
            configuration: extradata(&stream.parameters).to_vec(),
        }
    }
}

/// The tracks of the file that `reader`'s become.
///
/// # Errors
/// `Unsupported` if one can't be encoded.
pub(super) fn layouts(task: &ClipTask, reader: &SpanReader) -> Result<Vec<TrackLayout>, Error> {
    let mut outputs = 0;
    (0..reader.tracks().len())
        .map(|track| {
            let stream = reader.stream(track);
            let carry = (Some(track) != reader.video()).then(|| carry(stream, task.container, task.compatibility));
            let lane = match &carry {
                Some(Carry::Sound(_)) => Lane::Sound(Box::new(SoundTrack::encoded(stream)?)),
                Some(Carry::Samples) => Lane::Sound(Box::new(SoundTrack::pcm(stream)?)),
                Some(Carry::Text(None)) => Lane::Text(TextTrack::Copied),
                Some(Carry::Text(Some(_))) => Lane::Text(TextTrack::converted(stream)?),
                Some(Carry::Frames | Carry::Events(_) | Carry::Drop(_)) | None => Lane::Packets,
            };
            let output = (!matches!(carry, Some(Carry::Drop(_)))).then(|| {
                outputs += 1;
                outputs - 1
            });
            let timebase = match &lane {
                Lane::Packets => stream.timebase,
                Lane::Sound(track) => track.timebase(),
                Lane::Text(_) => TEXT_TIMEBASE,
            };
            let is_filled = task.gaps == GapFill::Black && stream.info.kind == TrackKind::Audio;
            let silence = (is_filled && carry == Some(Carry::Frames)).then(|| Silence::like(stream));
            let (signature, order) = (Signature::of(reader, track), Order::default());
            Ok(TrackLayout { carry, output, lane, silence, timebase, signature, order, packets: 0, units: 0 })
        })
        .collect()
}

impl TrackLayout {
    /// How much sound is missing before `offset`, in nanoseconds of the file.
    pub(super) fn lead(&self, offset: i64) -> i64 {
        let end = match (&self.carry, &self.lane) {
            (Some(Carry::Frames), Lane::Packets) => self.timebase.nanos(self.order.end()),
            (_, Lane::Sound(sound)) => sound.end(),
            _ => offset,
        };
        (offset - end).clamp(0, MAX_LEAD)
    }

    /// Whether the video of another span has the same codec.
    pub(super) fn has_codec(&self, codec: &str) -> bool {
        self.signature.codec == codec
    }

    /// Whether a track of another span can go on where this one's ends.
    pub(super) fn fits(&self, reader: &SpanReader, track: usize) -> bool {
        let other = Signature::of(reader, track);
        match &self.carry {
            // What becomes of the video of each span is chosen for it.
            None => other.kind == self.signature.kind,
            // What is decoded, or left out, may change as it likes.
            Some(Carry::Sound(_) | Carry::Drop(_)) => other.kind == self.signature.kind,
            _ => other == self.signature,
        }
    }

    /// How many samples the index will have of it, or more: behind each cue the muxer writes an empty one.
    pub(super) fn samples(&self) -> u64 {
        if matches!(self.lane, Lane::Text(_)) { 2 * self.packets + 2 } else { self.packets }
    }

    /// Bytes of its codec configuration.
    pub(super) fn configuration_bytes(&self) -> u64 {
        self.signature.configuration.len() as u64
    }
}

/// The streams of the file, in order.
///
/// # Errors
/// `Unsupported` if the video can't be encoded so.
pub(super) fn output_streams(
    reader: &SpanReader,
    chosen: &Chosen,
    layouts: &[TrackLayout],
    sets: Option<&ParameterSets>,
    known: &Known,
) -> Result<Vec<OutputStream>, Error> {
    let written = layouts.iter().enumerate().filter(|(_, layout)| layout.output.is_some());
    written
        .map(|(track, layout)| {
            let stream = reader.stream(track);
            let encoded = layout.lane.parameters();
            let (parameters, configuration) = match (&layout.carry, &chosen.method) {
                (None, Method::Encode(encode)) => (Encoder::open(&encode.shape, &encode.settings)?.parameters(), None),
                (None, method) => (stream.parameters.clone(), configuration(stream, method, sets)),
                _ => (encoded.unwrap_or_else(|| stream.parameters.clone()), None),
            };
            Ok(OutputStream {
                parameters,
                extradata: configuration,
                timebase: layout.timebase,
                frame_rate: stream.info.frame_rate,
                labels: stream.labels.clone(),
                in_band: layout.carry.is_none() && known.in_band,
            })
        })
        .collect()
}

impl Assembly<'_> {
    /// The end of the video is known: the other tracks end with it.
    pub(super) fn settle_audio(&mut self, run: &mut SpanRun) -> Result<(), Error> {
        let end = match self.chosen.cut {
            Cut::Exact => run.mark_out.unwrap_or_else(|| run.clock.wall(run.end)),
            Cut::EditList | Cut::Keyframe => run.clock.wall(run.end),
        };
        for track in 0..run.audio.len() {
            let Some(passage) = &mut run.audio[track] else { continue };
            let mut ready = Vec::new();
            passage.settle(end, &mut self.layout[track].lane, &mut ready)?;
            self.write_all(run, track, ready)?;
        }
        Ok(())
    }

    /// Takes a packet of a track beside the video.
    pub(super) fn write_audio(&mut self, run: &mut SpanRun, track: usize, packet: Packet) -> Result<(), Error> {
        let Some(passage) = run.audio.get(track).and_then(Option::as_ref) else { return Ok(()) };
        // A hole is filled step by step, so that an hour of silence is never in memory at once.
        if let Some(begin) = passage.begins(&packet) {
            self.fill_samples(track, begin - FILL_STEP)?;
        }
        let Some(passage) = &mut run.audio[track] else { return Ok(()) };
        let lane = &mut self.layout[track].lane;
        let mut ready = Vec::new();
        passage.push(packet, lane, &mut ready)?;
        if run.video.is_none() {
            let reached = match (&*passage, &*lane) {
                (Passage::Frames(clock, _), _) => ready.last().map(|last| clock.wall(pts(last) + last.duration())),
                (passage, lane) => passage.reached(lane),
            };
            run.end = reached.map_or(run.end, |reached| run.end.max(run.clock.nearest(reached)));
        }
        self.write_all(run, track, ready)
    }

    /// Fills what a track that is written sample by sample lacks before `end`, in nanoseconds of the file.
    fn fill_samples(&mut self, track: usize, end: i64) -> Result<(), Error> {
        let mut is_short = true;
        while is_short {
            let Lane::Sound(sound) = &mut self.layout[track].lane else { return Ok(()) };
            let mut ready = Vec::new();
            is_short = sound.fill(end, FILL_STEP, &mut ready)?;
            ready.into_iter().try_for_each(|packet| self.put(track, packet))?;
        }
        Ok(())
    }

    /// Fills all tracks of sound with silence, from where each ends up to `until` nanoseconds of the file. Where no
    /// silence can be made a hole is left, and warned of.
    pub(super) fn fill_sound(&mut self, until: i64) -> Result<(), Error> {
        for track in 0..self.layout.len() {
            self.fill_samples(track, until)?;
            let layout = &mut self.layout[track];
            let silence = match layout.silence.take() {
                None => continue,
                // Said once.
                Some(Err(error)) => {
                    self.warnings.push(format!("gaps are holes in the sound of track {track}: {error}"));
                    continue;
                }
                Some(Ok(silence)) => silence,
            };
            let from = layout.order.end();
            let to = Timebase::NANOS.rescale(until, layout.timebase, Rounding::Nearest);
            for index in 0..silence.frames(from, to) {
                self.put(track, silence.frame(from, index))?;
            }
            self.layout[track].silence = Some(Ok(silence));
        }
        Ok(())
    }

    /// The span has been read: what its decoders hold comes out.
    pub(super) fn finish_passages(&mut self, run: &mut SpanRun) -> Result<(), Error> {
        for track in 0..run.audio.len() {
            let Some(passage) = &mut run.audio[track] else { continue };
            let lane = &mut self.layout[track].lane;
            let mut ready = Vec::new();
            passage.finish(run.clock.wall(run.end), lane, &mut ready)?;
            if run.video.is_none()
                && let Some(reached) = passage.reached(lane)
            {
                run.end = run.end.max(run.clock.nearest(reached));
            }
            self.write_all(run, track, ready)?;
        }
        Ok(())
    }

    /// The last span has been written: what encoders hold comes out. A track of text without a cue gets an empty one, and
    /// a track without anything is reported as dropped: MP4 and MOV don't hold tracks without samples.
    pub(super) fn finish_tracks(&mut self) -> Result<(), Error> {
        self.finish_sound()?;
        let length = Timebase::NANOS.rescale(self.tally.offset, TEXT_TIMEBASE, Rounding::Down);
        for track in 0..self.layout.len() {
            let layout = &self.layout[track];
            if layout.packets > 0 || layout.output.is_none() || self.task.container == Container::Ts {
                continue;
            }
            match layout.lane {
                Lane::Text(_) if length > 0 => self.put(track, packet_of(&NO_TEXT, 0, length))?,
                _ => {
                    self.layout[track].output = None;
                    let report = &mut self.tracks[track];
                    (report.fate, report.codec) = (TrackFate::Dropped, String::new());
                    report.reason = "it holds nothing in the range".into();
                }
            }
        }
        Ok(())
    }

    /// What the muxer will have written of each track of the file; `None` where it adds samples of its own.
    pub(super) fn units(&self) -> Vec<Option<u64>> {
        let written = self.layout.iter().filter(|layout| layout.output.is_some());
        written.map(|layout| (!matches!(layout.lane, Lane::Text(_))).then_some(layout.units)).collect()
    }

    fn finish_sound(&mut self) -> Result<(), Error> {
        for track in 0..self.layout.len() {
            let Lane::Sound(sound) = &mut self.layout[track].lane else { continue };
            let mut ready = Vec::new();
            sound.finish(&mut ready)?;
            for packet in ready {
                self.put(track, packet)?;
            }
        }
        Ok(())
    }

    fn write_all(&mut self, run: &SpanRun, track: usize, ready: Vec<Packet>) -> Result<(), Error> {
        ready.into_iter().try_for_each(|packet| self.write(run, track, packet))
    }

    /// Writes a packet whose times are those of the file.
    pub(super) fn put(&mut self, track: usize, mut packet: Packet) -> Result<(), Error> {
        let is_video = Some(track) == self.video;
        let layout = &mut self.layout[track];
        let Some(output) = layout.output else { return Ok(()) };
        match layout.carry {
            Some(Carry::Text(_) | Carry::Events(_)) => layout.order.admit_event(&mut packet),
            _ if !layout.order.admit(&mut packet, !is_video)? => return Ok(()),
            _ => {}
        }
        let units = match layout.carry {
            Some(Carry::Samples) => packet.duration().unsigned_abs(),
            _ => 1,
        };
        match self.muxer.write(output, &mut packet) {
            // A frame of sound that was cut short. It is counted, and told.
            Err(Error::Unusable(_)) if !is_video && self.task.damage == Damage::Lenient => {
                self.tally.damaged_packets += 1;
                return Ok(());
            }
            written => written?,
        }
        layout.packets += 1;
        layout.units += units;
        Ok(())
    }
}
