//! A clip from the first packet to the verified file.
//!
//! ```text
//! method.rs    which spans, and which way the video is made
//! run.rs       one span while it is cut
//! coverage.rs  what a span gave, held against what it should have
//! tracks.rs    the tracks of the file, and how those beside the video are written
//! ```

mod coverage;
mod method;
mod run;
mod tracks;

use std::{collections::VecDeque, fs::File, sync::Arc};

use crate::{
    ClipReport, ClipTask, Container, Cut, Error, GapFill, Phase, Progress, Span, TrackReport,
    cut::{CopyCutter, CutPacket, Cutter, EncodeCutter, Opening, SmartCutter, open_at},
    ffmpeg::{Muxer, MuxerOptions, Packet, audio_frame},
    host::Host,
    source::{SpanReader, TrackPacket, frame_nanos, pts},
    time::{NANOS, TimeRange, WallTime},
    verify::{self, Expected},
};
pub(crate) use method::{Method, SPAN_SLACK, Wanted, choose, needs_thorough, track_reports, wanted_spans};
use run::{Place, SpanRun};
use tracks::{TrackLayout, layouts, output_streams};

/// Cuts the clip, writes it to the host's output, and verifies it.
///
/// # Errors
/// `NoMedia` if no frame lies in the range; see [`Error`] for the rest.
pub(crate) fn clip(task: &ClipTask, host: Arc<dyn Host>) -> Result<ClipReport, Error> {
    let mut index_bytes = None;
    loop {
        host.report(Progress { media_total: total(task), ..Progress::default() })?;
        let output = host.output()?;
        match Assembly::begin(task, &host, &output, index_bytes)?.run()? {
            Made::Clip(report) => return Ok(report),
            // The room kept for the index was too small: what was counted now tells how large it must be.
            Made::NeedsIndex(bytes) => {
                output.set_len(0).map_err(|error| Error::Io(format!("the output could not be cleared: {error}")))?;
                index_bytes = Some(bytes);
            }
        }
    }
}

fn total(task: &ClipTask) -> i64 {
    i64::try_from(task.range.duration().as_nanos()).unwrap_or(i64::MAX)
}

enum Made {
    Clip(ClipReport),
    NeedsIndex(u64),
}

/// A clip being put together.
struct Assembly<'a> {
    task: &'a ClipTask,
    host: &'a Arc<dyn Host>,
    output: &'a File,
    method: Method,
    muxer: Muxer,
    index_bytes: u64,
    /// What the first span was opened as; all others must match.
    layout: Vec<TrackLayout>,
    video: Option<usize>,
    reader: Option<SpanReader>,
    tally: Tally,
    tracks: Vec<TrackReport>,
    warnings: Vec<String>,
}

/// What has been written so far.
#[derive(Default)]
struct Tally {
    /// Where the next span begins in the file, in nanoseconds.
    offset: i64,
    frames: u64,
    encoded_frames: u64,
    hidden: i64,
    first: Option<WallTime>,
    last: Option<WallTime>,
    /// Packets that the demuxer says are damaged.
    damaged: u64,
}

impl<'a> Assembly<'a> {
    fn begin(
        task: &'a ClipTask,
        host: &'a Arc<dyn Host>,
        output: &'a File,
        index_bytes: Option<u64>,
    ) -> Result<Self, Error> {
        let spans = wanted_spans(task);
        let Some(Wanted { span, .. }) = spans.first() else {
            return Err(Error::NoMedia(format!(
                "the recording has no media between {} and {}",
                task.range.start, task.range.end
            )));
        };
        let reader = SpanReader::open(host, span, needs_thorough(task))?;
        let video = reader.video();
        let (method, warning) = match video {
            Some(video) => choose(task, &reader, video)?,
            None => (Method::Copy, None),
        };
        let layout = layouts(task, &reader)?;
        let streams = output_streams(&reader, &method, &layout)?;
        let index_bytes = index_bytes.unwrap_or_else(|| index_estimate(task, &reader));
        let options = MuxerOptions { container: task.container, metadata: task.metadata.clone(), index_bytes };
        let file = output.try_clone().map_err(|error| Error::Io(format!("the output: {error}")))?;
        let muxer = Muxer::new(file, &streams, &options)?;
        let tracks = track_reports(task, &reader, &method, warning.as_deref());
        Ok(Self {
            task,
            host,
            output,
            method,
            muxer,
            index_bytes,
            layout,
            video,
            reader: Some(reader),
            tally: Tally::default(),
            tracks,
            warnings: warning.into_iter().collect(),
        })
    }

    fn run(mut self) -> Result<Made, Error> {
        for wanted in wanted_spans(self.task) {
            let reader = match self.reader.take() {
                Some(reader) => reader,
                None => self.open_next(wanted.span)?,
            };
            self.fill_gap(&wanted)?;
            self.cut_span(reader, &wanted)?;
        }
        self.finish_tracks()?;
        let (Some(first), Some(last)) = (self.tally.first, self.tally.last) else {
            return Err(Error::NoMedia(format!(
                "no frame of the recording lies between {} and {}",
                self.task.range.start, self.task.range.end
            )));
        };
        if self.task.container != Container::Ts && self.index_needed() > self.index_bytes {
            return Ok(Made::NeedsIndex(self.index_needed()));
        }
        self.host.report(self.progress(Phase::Finalize))?;
        let expected = self.expected();
        let progress = self.progress(Phase::Verify);
        if self.tally.damaged > 0 {
            self.warnings.push(format!("{} packets of the source are marked as damaged", self.tally.damaged));
        }
        let Self { task, host, output, muxer, tally, tracks, warnings, .. } = self;
        let known = muxer.finish()?;
        host.report(progress)?;
        let verified = verify::verify(output, &expected, known)?;
        Ok(Made::Clip(ClipReport {
            actual: TimeRange::new(first, last),
            duration: tally.offset,
            gaps: Vec::new(),
            tracks,
            frames: tally.frames,
            encoded_frames: tally.encoded_frames,
            hidden_lead_in: if task.cut == Cut::EditList { tally.hidden } else { 0 },
            size_bytes: verified.size_bytes,
            sha256: verified.sha256,
            warnings,
        }))
    }

    /// Opens a span after the first, which must be coded alike: a file has one description of each track.
    fn open_next(&self, span: &Span) -> Result<SpanReader, Error> {
        let reader = SpanReader::open(self.host, span, needs_thorough(self.task))?;
        let tracks = reader.tracks().len();
        let differs = tracks != self.layout.len()
            || reader.video() != self.video
            || (0..tracks).any(|track| !self.layout[track].fits(&reader, track));
        if differs {
            return Err(Error::Unsupported(format!(
                "the recording is coded differently from {} on, and one file can't hold both",
                span.range.start
            )));
        }
        Ok(reader)
    }

    /// Fills the gap before a span, in a recording of sound alone, if that is asked for.
    fn fill_gap(&mut self, wanted: &Wanted<'_>) -> Result<(), Error> {
        let Some(last) = self.tally.last.filter(|_| self.video.is_none() && self.task.gaps == GapFill::Black) else {
            return Ok(());
        };
        self.tally.offset += wanted.span.range.start.nanos_since(last).max(0);
        self.fill_sound(self.tally.offset)
    }

    fn cut_span(&mut self, mut reader: SpanReader, wanted: &Wanted<'_>) -> Result<(), Error> {
        let opening = open_at(&mut reader, wanted.mark_in)?;
        let place = Place { offset: self.tally.offset, is_first: self.tally.first.is_none(), tracks: &self.layout };
        let method = std::mem::replace(&mut self.method, Method::Copy);
        let result = match SpanRun::new(self.task, &method, &place, &reader, wanted, &opening)? {
            Some(run) => self.run_span(&mut reader, run, opening, &method).map(Some),
            None => Ok(None),
        };
        self.method = method;
        match result? {
            Some(mut run) => self.warnings.extend(coverage::check(wanted, &mut run)?),
            None => coverage::check_nothing(wanted)?,
        }
        Ok(())
    }

    fn run_span(
        &mut self,
        reader: &mut SpanReader,
        mut run: SpanRun,
        opening: Opening,
        method: &Method,
    ) -> Result<SpanRun, Error> {
        // The cutter borrows the description of the track, and the reader goes on reading.
        let stream = run.video.map(|track| reader.stream(track).clone());
        let mut cutter: Option<Box<dyn Cutter + '_>> = match (&stream, method) {
            (None, _) => None,
            (Some(_), Method::Copy) => Some(Box::new(CopyCutter::new(run.bounds))),
            (Some(stream), Method::Smart(style)) => Some(Box::new(SmartCutter::new(stream, style, run.bounds))),
            (Some(stream), Method::Encode(encode)) => {
                Some(Box::new(EncodeCutter::new(stream, &encode.0, &encode.1, run.bounds)?))
            }
        };
        let mut waiting: VecDeque<TrackPacket> = opening.others;
        let track = run.video.unwrap_or(usize::MAX);
        let mut video: VecDeque<Packet> = opening.video.into();
        let mut wants_video = cutter.is_some();
        let mut out = Vec::new();
        while wants_video || run.wants_audio() {
            let next = match (video.pop_front(), waiting.pop_front()) {
                (Some(packet), other) => {
                    other.into_iter().for_each(|other| waiting.push_front(other));
                    Some(TrackPacket { track, packet })
                }
                (None, Some(other)) => Some(other),
                (None, None) => reader.next()?,
            };
            let Some(TrackPacket { track, packet }) = next else { break };
            if Some(track) == run.video {
                if !wants_video && run.is_beyond(track, &packet) {
                    break;
                }
                if wants_video && let Some(cutter) = &mut cutter {
                    wants_video = cutter.push(packet, &mut out)?;
                    if !wants_video {
                        cutter.finish(&mut out)?;
                    }
                    self.write_video(&mut run, &mut out)?;
                    if !wants_video {
                        self.settle_audio(&mut run)?;
                    }
                }
            } else {
                if !wants_video && run.is_beyond(track, &packet) {
                    break;
                }
                self.write_audio(&mut run, track, packet)?;
            }
        }
        if wants_video && let Some(cutter) = &mut cutter {
            cutter.finish(&mut out)?;
            self.write_video(&mut run, &mut out)?;
            self.settle_audio(&mut run)?;
        }
        self.finish_passages(&mut run)?;
        self.close_span(&run);
        Ok(run)
    }

    fn write_video(&mut self, run: &mut SpanRun, out: &mut Vec<CutPacket>) -> Result<(), Error> {
        let Some(track) = run.video else { return Ok(()) };
        for CutPacket { mut packet, encoded } in out.drain(..) {
            if packet.duration() <= 0 {
                packet.set_duration(run.frame_ticks);
            }
            let shown = pts(&packet);
            let end = shown + packet.duration();
            run.shown.push((shown, end));
            self.tally.damaged += u64::from(packet.is_corrupt());
            if shown >= run.zero {
                self.tally.frames += 1;
                self.tally.encoded_frames += u64::from(encoded);
                run.end = run.end.max(end);
            } else {
                self.tally.hidden = self.tally.hidden.max(run.clock.timebase.nanos(run.zero - shown));
            }
            self.write(run, track, packet)?;
        }
        Ok(())
    }

    /// Moves a packet to its place in the file, and writes it.
    fn write(&mut self, run: &SpanRun, track: usize, mut packet: Packet) -> Result<(), Error> {
        let shift = run.shift[track];
        packet.set_pts(packet.pts().map(|time| time + shift));
        packet.set_dts(packet.dts().map(|time| time + shift));
        self.put(track, packet, Some(track) == run.video)?;
        if Some(track) == run.video || run.video.is_none() {
            let progress = self.progress_at(run);
            self.host.report(progress)?;
        }
        Ok(())
    }

    fn close_span(&mut self, run: &SpanRun) {
        if run.end <= run.zero {
            return;
        }
        self.tally.first.get_or_insert(run.clock.wall(run.zero));
        self.tally.last = Some(run.clock.wall(run.end));
        self.tally.offset += run.clock.timebase.nanos(run.end - run.zero);
    }

    fn progress_at(&self, run: &SpanRun) -> Progress {
        let done = self.tally.offset + run.clock.timebase.nanos((run.end - run.zero).max(0));
        Progress { media_done: done, ..self.progress(Phase::Render) }
    }

    fn progress(&self, phase: Phase) -> Progress {
        let written_bytes = self.muxer.written();
        Progress { phase, media_done: self.tally.offset, media_total: total(self.task), written_bytes }
    }

    /// An upper bound of the index for what has been written: sizes, times, offsets and chunks of every sample
    /// (ISO/IEC 14496-12 §8.6, §8.7).
    fn index_needed(&self) -> u64 {
        let samples: u64 = self.layout.iter().map(TrackLayout::samples).sum();
        let configuration: u64 = self.layout.iter().map(TrackLayout::configuration_bytes).sum();
        let metadata: usize = self.task.metadata.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
        8_192 + samples * 44 + 4 * configuration + metadata as u64
    }

    fn expected(&self) -> Expected {
        Expected {
            container: self.task.container,
            tracks: self.units(),
            video: self.video.map(|video| self.layout[..video].iter().filter(|layout| layout.output.is_some()).count()),
            duration: self.tally.offset,
            hidden: self.tally.hidden,
            encoded: self.tally.encoded_frames > 0,
        }
    }
}

/// Room to keep for the index: what a clip of this length usually needs, with some to spare.
fn index_estimate(task: &ClipTask, reader: &SpanReader) -> u64 {
    let length = total(task).unsigned_abs();
    let samples: u64 = (0..reader.tracks().len())
        .map(|track| {
            let frame = match Some(track) == reader.video() {
                true => frame_nanos(reader.stream(track).info.frame_rate),
                false => audio_frame(reader.parameters(track)),
            };
            length / frame.unwrap_or(NANOS / 60).max(1).unsigned_abs()
        })
        .sum();
    16_384 + samples * 44 + samples * 44 / 16
}
