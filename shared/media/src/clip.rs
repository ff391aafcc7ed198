//! A clip from the first packet to the verified file.

use std::{collections::VecDeque, fs::File, sync::Arc};

use crate::{
    ClipReport, ClipTask, Container, Cut, Error, Phase, Progress, Span, TrackFate, TrackReport, VideoTarget,
    audio::{AudioCutter, Edges, Order},
    cut::{
        Bounds, CopyCutter, CutPacket, Cutter, EncodeCutter, Opening, SmartCutter, SmartStyle, full_settings, open_at,
    },
    ffmpeg::{Encoder, EncoderSettings, Muxer, MuxerOptions, OutputStream, Packet, VideoShape, audio_frame, extradata},
    host::Host,
    source::{Clock, SpanReader, TrackPacket, frame_nanos, pts},
    time::{NANOS, Rounding, TimeRange, Timebase, WallTime},
    verify::{self, Expected},
};

/// Manifests round: a span may begin so much before it is said to. Less than half a frame.
pub(crate) const SPAN_SLACK: i64 = 4_000_000;
/// So much of a recording may be missing before it counts as damaged: less is what cameras drop now and then, and is
/// warned of.
const MAX_HOLE: i64 = NANOS / 2;
/// Fewer frames than this in a row aren't even worth a warning.
const MIN_HOLE_FRAMES: i64 = 3;
/// Sound may lag behind the pictures in a file by so much; what is read beyond that is of no more use.
const MAX_LAG: i64 = 5 * NANOS;
/// Assumed where a source doesn't state its frame rate.
const USUAL_FRAME: i64 = NANOS / 25;

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

/// The spans that the range touches, each with what of it is wanted. A bound that the range sets is exact; one that a gap
/// sets is where the span begins or ends by itself, as well as the manifest can tell.
pub(crate) fn wanted_spans(task: &ClipTask) -> Vec<(&Span, WallTime, Option<WallTime>)> {
    let is_wanted = |span: &&Span| span.range.intersection(&task.range).is_some();
    let bounds = |span: &'_ Span| {
        let range = span.range;
        let is_marked = task.range.start >= range.start;
        let mark_in = if is_marked { task.range.start } else { range.start.saturating_add_nanos(-SPAN_SLACK) };
        let mark_out = (task.range.end <= range.end).then_some(task.range.end);
        (mark_in, mark_out)
    };
    let spans = task.input.spans.iter().filter(is_wanted);
    spans.map(|span| (span, bounds(span))).map(|(span, (mark_in, mark_out))| (span, mark_in, mark_out)).collect()
}

/// How the video of a clip is made.
pub(crate) enum Method {
    Copy,
    Smart(Box<SmartStyle>),
    Encode(Box<(VideoShape, EncoderSettings)>),
}

/// Chooses how the video is made, and says why if it isn't as asked.
pub(crate) fn choose(task: &ClipTask, reader: &SpanReader, video: usize) -> Result<(Method, Option<String>), Error> {
    let stream = reader.stream(video);
    let encode = |target| {
        let shape = VideoShape::of_parameters(&stream.parameters).ok_or_else(|| {
            Error::Unusable(format!("the {} video has no pixel format; it can't be decoded", stream.info.codec))
        })?;
        Ok::<_, Error>(Method::Encode(Box::new((shape, full_settings(target, stream)))))
    };
    match (task.video, task.cut) {
        (VideoTarget::H264 | VideoTarget::H265, _) => Ok((encode(task.video)?, None)),
        (VideoTarget::Keep, Cut::EditList) if task.container == Container::Ts => {
            Err(Error::Unsupported("a TS has no edit list; choose MOV or MP4, or another cut".into()))
        }
        (VideoTarget::Keep, Cut::Keyframe | Cut::EditList) => Ok((Method::Copy, None)),
        (VideoTarget::Keep, Cut::Exact) => {
            let refusal = if stream.info.codec == "h264" {
                match SmartStyle::of(stream, task.container == Container::Ts) {
                    Ok(style) => return Ok((Method::Smart(Box::new(style)), None)),
                    Err(Error::Unsupported(reason)) => reason,
                    Err(error) => return Err(error),
                }
            } else {
                format!("{} can't be smart cut", stream.info.codec)
            };
            let target = if stream.info.codec == "hevc" { VideoTarget::H265 } else { VideoTarget::H264 };
            Ok((encode(target)?, Some(format!("the whole video is encoded: {refusal}"))))
        }
    }
}

/// Whether libav must read ahead to learn what choosing and encoding need.
pub(crate) fn needs_thorough(task: &ClipTask) -> bool {
    task.video != VideoTarget::Keep || task.cut == Cut::Exact
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

struct TrackLayout {
    codec: String,
    configuration: Vec<u8>,
    timebase: Timebase,
    order: Order,
    packets: u64,
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
        let Some((span, ..)) = spans.first() else {
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
        let streams = output_streams(&reader, &method)?;
        let index_bytes = index_bytes.unwrap_or_else(|| index_estimate(task, &reader));
        let options = MuxerOptions { container: task.container, metadata: task.metadata.clone(), index_bytes };
        let file = output.try_clone().map_err(|error| Error::Io(format!("the output: {error}")))?;
        let muxer = Muxer::new(file, &streams, &options)?;
        let layout = (0..reader.tracks().len()).map(|track| TrackLayout::of(&reader, track)).collect();
        let tracks = track_reports(&reader, &method, warning.as_deref());
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
        for (span, mark_in, mark_out) in wanted_spans(self.task) {
            let reader = match self.reader.take() {
                Some(reader) => reader,
                None => self.open_next(span)?,
            };
            self.cut_span(reader, span, mark_in, mark_out)?;
        }
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
        muxer.finish()?;
        host.report(progress)?;
        let verified = verify::verify(output, &expected)?;
        Ok(Made::Clip(ClipReport {
            actual: TimeRange::new(first, last),
            duration: tally.offset,
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
            || (0..tracks).any(|track| !self.layout[track].fits(&TrackLayout::of(&reader, track)));
        if differs {
            return Err(Error::Unsupported(format!(
                "the recording is coded differently from {} on, and one file can't hold both",
                span.range.start
            )));
        }
        Ok(reader)
    }

    fn cut_span(
        &mut self,
        mut reader: SpanReader,
        span: &Span,
        mark_in: WallTime,
        mark_out: Option<WallTime>,
    ) -> Result<(), Error> {
        let opening = open_at(&mut reader, mark_in)?;
        let run = match SpanRun::new(self, &reader, mark_in, mark_out, &opening)? {
            Some(run) => run,
            None => return Coverage::none(span, mark_in, mark_out),
        };
        let method = std::mem::replace(&mut self.method, Method::Copy);
        let result = self.run_span(&mut reader, run, opening, &method);
        self.method = method;
        let coverage = Coverage { run: result?, span, mark_in, mark_out };
        self.warnings.extend(coverage.check()?);
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

    /// The end of the video is known: sound ends with it.
    fn settle_audio(&mut self, run: &mut SpanRun) -> Result<(), Error> {
        let end = match self.task.cut {
            Cut::Exact => run.mark_out.unwrap_or_else(|| run.clock.wall(run.end)),
            Cut::EditList | Cut::Keyframe => run.clock.wall(run.end),
        };
        for index in 0..run.audio.len() {
            let Some((clock, cutter)) = &mut run.audio[index] else { continue };
            let mut ready = Vec::new();
            cutter.settle(clock.nearest(end), &mut ready);
            for packet in ready {
                self.write(run, index, packet)?;
            }
        }
        Ok(())
    }

    fn write_audio(&mut self, run: &mut SpanRun, track: usize, packet: Packet) -> Result<(), Error> {
        let Some((_, cutter)) = run.audio.get_mut(track).and_then(Option::as_mut) else { return Ok(()) };
        let mut ready = Vec::new();
        cutter.push(packet, &mut ready);
        for packet in ready {
            if run.video.is_none() {
                run.end = run.end.max(run.clock.nearest(run.clocks[track].wall(pts(&packet) + packet.duration())));
            }
            self.write(run, track, packet)?;
        }
        Ok(())
    }

    /// Moves a packet to its place in the file, and writes it.
    fn write(&mut self, run: &SpanRun, track: usize, mut packet: Packet) -> Result<(), Error> {
        let layout = &mut self.layout[track];
        let shift = run.shift[track];
        packet.set_pts(packet.pts().map(|time| time + shift));
        packet.set_dts(packet.dts().map(|time| time + shift));
        if !layout.order.admit(&mut packet, Some(track) != run.video)? {
            return Ok(());
        }
        layout.packets += 1;
        self.muxer.write(track, &mut packet)?;
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
        let samples: u64 = self.layout.iter().map(|layout| layout.packets).sum();
        let configuration: usize = self.layout.iter().map(|layout| layout.configuration.len()).sum();
        let metadata: usize = self.task.metadata.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
        8_192 + samples * 44 + 4 * configuration as u64 + metadata as u64
    }

    fn expected(&self) -> Expected {
        Expected {
            container: self.task.container,
            tracks: self.layout.iter().map(|layout| layout.packets).collect(),
            video: self.video,
            duration: self.tally.offset,
            hidden: self.tally.hidden,
            encoded: self.tally.encoded_frames > 0,
        }
    }
}

/// One span while it is cut.
struct SpanRun {
    video: Option<usize>,
    bounds: Bounds,
    /// What becomes zero in the file: the first frame shown.
    zero: i64,
    /// The end of the last frame written.
    end: i64,
    frame_ticks: i64,
    mark_out: Option<WallTime>,
    /// The clock that `zero` and `end` are in: the video's, or the first track's.
    clock: Clock,
    clocks: Vec<Clock>,
    /// From when to when each video frame written is shown, in ticks.
    shown: Vec<(i64, i64)>,
    /// Added to the times of each track.
    shift: Vec<i64>,
    audio: Vec<Option<(Clock, AudioCutter)>>,
}

impl SpanRun {
    /// `None` if no frame of the span lies in the range.
    fn new(
        assembly: &Assembly<'_>,
        reader: &SpanReader,
        mark_in: WallTime,
        mark_out: Option<WallTime>,
        opening: &Opening,
    ) -> Result<Option<Self>, Error> {
        let video = reader.video();
        let clocks: Vec<_> = (0..reader.tracks().len()).map(|track| reader.clock(track)).collect();
        let clock = clocks[video.unwrap_or(0)];
        let bound = mark_out.map_or(i64::MAX, |mark_out| clock.at_or_after(mark_out));
        let base = match video {
            Some(_) => opening.base,
            None => Some(clock.at_or_after(mark_in)),
        };
        let Some(base) = base.filter(|base| *base < bound) else { return Ok(None) };
        let key = opening.video.first().map(pts);
        let is_keyframe_cut = matches!(assembly.method, Method::Copy) && assembly.task.cut == Cut::Keyframe;
        let zero = if is_keyframe_cut { key.unwrap_or(base) } else { base };
        let is_first = assembly.tally.first.is_none();
        let edges = match assembly.task.container {
            Container::Mp4 | Container::Mov if is_first => Edges::Hidden,
            _ => Edges::Shown,
        };
        let start = clock.wall(zero);
        let audio_out = mark_out.unwrap_or(WallTime::from_nanos(i64::MAX));
        let audio = clocks.iter().enumerate().map(|(track, clock)| {
            let frame = audio_frame(reader.parameters(track))
                .map_or(0, |nanos| Timebase::NANOS.rescale(nanos, clock.timebase, Rounding::Nearest));
            let bound = if mark_out.is_some() { clock.nearest(audio_out) } else { i64::MAX };
            let mut cutter = AudioCutter::new(edges, clock.nearest(start), bound, frame);
            if video.is_none() {
                cutter.settle(bound, &mut Vec::new());
            }
            (Some(track) != video).then_some((*clock, cutter))
        });
        let audio = audio.collect();
        let shift = clocks
            .iter()
            .zip(&assembly.layout)
            .map(|(clock, layout)| {
                let offset = Timebase::NANOS.rescale(assembly.tally.offset, layout.timebase, Rounding::Nearest);
                offset - clock.nearest(start)
            })
            .collect();
        let frame = video.and_then(|video| frame_nanos(reader.stream(video).info.frame_rate)).unwrap_or(USUAL_FRAME);
        let frame_ticks = Timebase::NANOS.rescale(frame, clock.timebase, Rounding::Nearest).max(1);
        let bounds = Bounds { base, mark_out: bound };
        let shown = Vec::new();
        Ok(Some(Self { video, bounds, zero, end: zero, frame_ticks, mark_out, clock, clocks, shown, shift, audio }))
    }

    /// Whether `packet` comes so late that no sound of the clip is to be expected behind it.
    fn is_beyond(&self, track: usize, packet: &Packet) -> bool {
        self.clocks[track].wall(pts(packet)).nanos_since(self.clock.wall(self.end)) > MAX_LAG
    }

    fn wants_audio(&self) -> bool {
        self.audio.iter().flatten().any(|(_, cutter)| !cutter.done)
    }
}

/// What a span gave, held against what the manifest says that it covers: a damaged source ends or skips without an error.
struct Coverage<'a> {
    run: SpanRun,
    span: &'a Span,
    mark_in: WallTime,
    mark_out: Option<WallTime>,
}

impl Coverage<'_> {
    /// Nothing at all: fine where the range falls between two frames, damage where it doesn't.
    fn none(span: &Span, mark_in: WallTime, mark_out: Option<WallTime>) -> Result<(), Error> {
        let end = mark_out.unwrap_or(span.range.end);
        if end.nanos_since(mark_in) > MAX_HOLE { Err(damaged(span, mark_in, end)) } else { Ok(()) }
    }

    /// Warnings about what is missing.
    fn check(mut self) -> Result<Vec<String>, Error> {
        if self.run.video.is_none() {
            return Ok(Vec::new());
        }
        self.run.shown.sort_unstable();
        let wall = |ticks| self.run.clock.wall(ticks);
        // A file may begin with sound alone; segments are cut where the video begins.
        let begins_late = self.span.parts.iter().all(|part| part.segments.len() > 1);
        let mut reached = if begins_late { self.mark_in } else { wall(self.run.zero).max(self.mark_in) };
        let mut warnings = Vec::new();
        let shown = self.run.shown.iter().map(|(start, end)| (wall(*start), wall(*end)));
        let end = self.mark_out.unwrap_or(self.span.range.end);
        for (start, next) in shown.chain([(end, end)]) {
            let hole = start.nanos_since(reached);
            if hole > MAX_HOLE {
                return Err(damaged(self.span, reached, start));
            }
            if hole > MIN_HOLE_FRAMES * self.run.clock.timebase.nanos(self.run.frame_ticks) && start < end {
                warnings.push(format!("no frames between {reached} and {start}"));
            }
            reached = reached.max(next);
        }
        Ok(warnings)
    }
}

/// Names the segment in which media is missing.
fn damaged(span: &Span, from: WallTime, to: WallTime) -> Error {
    let problem = format!("it is damaged, or cut short: it holds no video between {from} and {to}");
    let segments = span.parts.first().map_or(&[][..], |part| &part.segments);
    // The frame before the hole may still belong to the segment before.
    let middle = from.saturating_add_nanos(to.nanos_since(from) / 2);
    match segments.iter().rev().find(|segment| segment.range.start <= middle).or(segments.first()) {
        Some(segment) => Error::Damaged { source_index: segment.piece.source, problem },
        None => Error::Unusable(problem),
    }
}

impl TrackLayout {
    fn of(reader: &SpanReader, track: usize) -> Self {
        let stream = reader.stream(track);
        Self {
            codec: stream.info.codec.clone(),
            configuration: extradata(&stream.parameters).to_vec(),
            timebase: stream.timebase,
            order: Order::default(),
            packets: 0,
        }
    }

    /// Whether packets of `other` can go on where this one's end.
    fn fits(&self, other: &Self) -> bool {
        (&self.codec, &self.configuration, self.timebase) == (&other.codec, &other.configuration, other.timebase)
    }
}

fn output_streams(reader: &SpanReader, method: &Method) -> Result<Vec<OutputStream>, Error> {
    let tracks = 0..reader.tracks().len();
    tracks
        .map(|track| {
            let stream = reader.stream(track);
            let is_video = Some(track) == reader.video();
            let (parameters, configuration) = match method {
                Method::Smart(style) if is_video => (stream.parameters.clone(), Some(style.extradata().to_vec())),
                Method::Encode(encode) if is_video => (Encoder::open(&encode.0, &encode.1)?.parameters(), None),
                _ => (stream.parameters.clone(), None),
            };
            Ok(OutputStream {
                parameters,
                extradata: configuration,
                timebase: stream.timebase,
                frame_rate: stream.info.frame_rate,
                language: stream.info.language.clone(),
            })
        })
        .collect()
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

pub(crate) fn track_reports(reader: &SpanReader, method: &Method, warning: Option<&str>) -> Vec<TrackReport> {
    let used = (0..reader.tracks().len()).map(|track| {
        let fate = match method {
            _ if Some(track) != reader.video() => TrackFate::Copied,
            Method::Copy => TrackFate::Copied,
            Method::Smart(_) => TrackFate::SmartCut,
            Method::Encode(_) => TrackFate::Encoded,
        };
        let reason = warning.filter(|_| fate == TrackFate::Encoded).unwrap_or_default().to_owned();
        TrackReport { track: reader.stream(track).info.clone(), fate, reason }
    });
    let dropped = reader.dropped().iter().map(|(info, reason)| TrackReport {
        track: info.clone(),
        fate: TrackFate::Dropped,
        reason: reason.clone(),
    });
    used.chain(dropped).collect()
}
