//! The file being put together, span by span.

use std::{collections::VecDeque, fs::File, sync::Arc};

use super::{
    coverage::{self, Hole},
    fill::Fill,
    layout::{self, Known},
    method::{Chosen, Method, Wanted, choose, follow, needs_thorough, track_reports, wanted_spans},
    run::{Place, Shown, SpanRun},
    total,
    tracks::{self, TrackLayout},
};
use crate::{
    ClipReport, ClipTask, Container, Cut, Damage, Error, GapFill, Phase, Progress, TrackReport,
    cut::{Continuation, CopyCutter, CutPacket, Cutter, EncodeCutter, Opened, Opening, SmartCutter},
    ffmpeg::{Muxer, MuxerOptions, Packet},
    host::Host,
    nal::ParameterSets,
    source::{SpanReader, TrackPacket, pts},
    time::{NANOS, TimeRange, WallTime},
    verify::{self, Expected},
};

/// Spans as near to each other as this have no gap between them, in nanoseconds.
const SEAM: i64 = NANOS / 10;

/// What came of an attempt at a clip.
pub(super) enum Made {
    /// The clip, and what it lacks of the range though it should be there.
    Clip(Box<ClipReport>, Vec<Hole>),
    /// The room kept for the index was too small: what was counted now tells how large it must be.
    NeedsIndex(u64),
    /// Packets call upon parameter sets that the header doesn't name.
    NeedsSets { header: ParameterSets, sets: ParameterSets },
    /// Media is missing that should be there.
    Holes(Vec<Hole>),
}

/// A clip being put together.
pub(super) struct Assembly<'a> {
    pub(super) task: &'a ClipTask,
    host: &'a Arc<dyn Host>,
    output: &'a File,
    known: &'a Known,
    pub(super) chosen: Chosen,
    pub(super) muxer: Muxer,
    index_bytes: u64,
    /// What the header says.
    sets: Option<ParameterSets>,
    /// What the first span was opened as; all others must match.
    pub(super) layout: Vec<TrackLayout>,
    pub(super) video: Option<usize>,
    /// How long frames of the first span are held back from decoding to showing, in ticks of the video.
    delay: i64,
    /// The first span, open.
    open: Option<Opened>,
    /// Whether the span before was copied to its very end.
    is_copied: bool,
    pub(super) tally: Tally,
    pub(super) tracks: Vec<TrackReport>,
    pub(super) warnings: Vec<String>,
    holes: Vec<Hole>,
    /// Those that are left as they are: at the ends of spans, or small.
    tails: Vec<Hole>,
    /// Parameter sets that showed up and that the header doesn't name.
    news: Option<ParameterSets>,
}

/// What has been written so far.
#[derive(Default)]
pub(super) struct Tally {
    /// Where the next span begins in the file, in nanoseconds.
    pub(super) offset: i64,
    frames: u64,
    encoded_frames: u64,
    hidden: i64,
    first: Option<WallTime>,
    last: Option<WallTime>,
    /// Packets that the demuxer says are damaged, and frames that the decoder had to make up in part.
    pub(super) damaged_packets: u64,
    damaged_frames: u64,
}

impl<'a> Assembly<'a> {
    pub(super) fn begin(
        task: &'a ClipTask,
        host: &'a Arc<dyn Host>,
        output: &'a File,
        known: &'a Known,
    ) -> Result<Self, Error> {
        let spans = wanted_spans(task);
        let Some(wanted) = spans.first() else {
            return Err(Error::NoMedia(format!(
                "the recording has no media between {} and {}",
                task.range.start, task.range.end
            )));
        };
        let opened = wanted.open(SpanReader::open(host, wanted.span, needs_thorough(task))?, host)?;
        let Opened { reader, opening, .. } = &opened;
        let video = reader.video();
        let chosen = match video {
            Some(video) => choose(task, reader, video, opening, known)?,
            None => Chosen { method: Method::Copy(None), cut: task.cut, warning: None, black: None },
        };
        let sets = layout::header_sets(&chosen, known);
        let layout = tracks::layouts(task, reader)?;
        let streams = tracks::output_streams(reader, &chosen, &layout, sets.as_ref(), known)?;
        let index_bytes = known.index_bytes.unwrap_or_else(|| layout::index_estimate(task, reader));
        let options = MuxerOptions { container: task.container, metadata: task.metadata.clone(), index_bytes };
        let file = output.try_clone().map_err(|error| Error::Io(format!("the output: {error}")))?;
        let muxer = Muxer::new(file, &streams, &options)?;
        Ok(Self {
            task,
            host,
            output,
            known,
            muxer,
            index_bytes,
            sets,
            layout,
            video,
            delay: opening.delay(),
            tally: Tally::default(),
            tracks: track_reports(task, reader, &chosen),
            warnings: chosen.warning.iter().cloned().collect(),
            holes: Vec::new(),
            tails: Vec::new(),
            news: None,
            open: Some(opened),
            is_copied: false,
            chosen,
        })
    }

    pub(super) fn run(mut self) -> Result<Made, Error> {
        let mut reached = self.task.range.start;
        for wanted in wanted_spans(self.task) {
            let is_first = self.open.is_some();
            let mut opened = match self.open.take() {
                Some(open) => open,
                None => self.open_next(&wanted)?,
            };
            // What goes on from the span before leaves nothing to fill.
            if is_first || opened.continuation.is_none() {
                self.fill(TimeRange::new(reached, wanted.span.range.start.max(reached)))?;
            }
            reached = reached.max(wanted.span.range.end.min(self.task.range.end));
            let method = match (is_first, opened.reader.video()) {
                (false, Some(video)) => {
                    let Opened { reader, opening, .. } = &opened;
                    let (method, warning) = follow(self.task, &self.chosen, reader, video, opening, self.known)?;
                    self.warnings.extend(warning);
                    method
                }
                _ => self.chosen.method.clone(),
            };
            self.note_sets(layout::span_sets(&method).as_ref());
            opened.go_on(self.is_copied, matches!(method, Method::Copy(_)));
            self.cut_span(opened, &wanted, &method)?;
        }
        self.fill(TimeRange::new(reached, self.task.range.end.max(reached)))?;
        if !self.holes.is_empty() {
            return Ok(Made::Holes(self.holes));
        }
        if let (Some(header), Some(sets)) = (&self.sets, &self.news) {
            return Ok(Made::NeedsSets { header: header.clone(), sets: sets.clone() });
        }
        self.finish_tracks()?;
        self.finish()
    }

    fn finish(mut self) -> Result<Made, Error> {
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
        for (count, what) in [
            (self.tally.damaged_packets, "packets of the source are marked as damaged"),
            (self.tally.damaged_frames, "frames at the edges are damaged, and shown as well as they can be decoded"),
        ] {
            if count > 0 {
                self.warnings.push(format!("{count} {what}"));
            }
        }
        let Self { host, output, muxer, tally, tracks, warnings, chosen, tails, .. } = self;
        let known = muxer.finish()?;
        host.report(progress)?;
        let verified = verify::verify(output, &expected, known)?;
        let report = ClipReport {
            actual: TimeRange::new(first, last),
            duration: tally.offset,
            gaps: Vec::new(),
            tracks,
            frames: tally.frames,
            encoded_frames: tally.encoded_frames,
            hidden_lead_in: if chosen.cut == Cut::EditList { tally.hidden } else { 0 },
            size_bytes: verified.size_bytes,
            sha256: verified.sha256,
            warnings,
        };
        Ok(Made::Clip(Box::new(report), tails))
    }

    /// Opens a span after the first, which must have the same tracks: a file has one description of each.
    fn open_next(&self, wanted: &Wanted<'_>) -> Result<Opened, Error> {
        let reader = SpanReader::open(self.host, wanted.span, needs_thorough(self.task))?;
        let differs = |what: String| {
            let from = wanted.span.range.start;
            Err(Error::Unsupported(format!("from {from} on the recording {what}, and one file can't hold both")))
        };
        let tracks = reader.tracks().len();
        if tracks != self.layout.len() || reader.video() != self.video {
            return differs(format!("has {tracks} tracks of video and sound instead of {}", self.layout.len()));
        }
        for (track, layout) in self.layout.iter().enumerate() {
            let codec = &reader.stream(track).info.codec;
            if !layout.fits(&reader, track) {
                return differs(format!("has {codec} coded differently"));
            }
            let is_copied = Some(track) == self.video && matches!(self.chosen.method, Method::Copy(_));
            if is_copied && !layout.has_codec(codec) {
                return differs(format!("has {codec} video"));
            }
        }
        wanted.open(reader, self.host)
    }

    /// Keeps in mind `sets` if the header doesn't name them.
    fn note_sets(&mut self, sets: Option<&ParameterSets>) {
        let Some((header, sets)) = self.sets.as_ref().zip(sets) else { return };
        if self.known.in_band || self.task.container == Container::Ts || header.contains(sets) {
            return;
        }
        self.news = Some(self.news.as_ref().map_or_else(|| sets.clone(), |news| news.with(sets)));
    }

    fn cut_span(&mut self, opened: Opened, wanted: &Wanted<'_>, method: &Method) -> Result<(), Error> {
        let Opened { mut reader, opening, continuation, lost } = opened;
        self.is_copied = false;
        self.tails.extend(lost.map(|range| Hole::unled(wanted.span, range)));
        let place = Place {
            offset: self.tally.offset,
            is_first: self.tally.first.is_none() && self.tally.offset == 0,
            continues: self.tally.last.is_some_and(|last| {
                (wanted.span.range.start.nanos_since(last)).abs() < SEAM
                    && self.task.range.start < wanted.span.range.start
            }),
            tracks: &self.layout,
        };
        let run = SpanRun::new(self.task, (method, self.chosen.cut), &place, &reader, wanted, &opening)?;
        let Some(run) = run else {
            self.holes.extend(coverage::check_nothing(wanted));
            return Ok(());
        };
        let mut run = self.run_span(&mut reader, run, (opening, continuation), method)?;
        let found = coverage::check(wanted, &mut run);
        match self.task.damage {
            Damage::Lenient => self.tails.extend(found.tail),
            Damage::Strict => self.holes.extend(found.tail),
        }
        self.holes.extend(found.holes);
        self.tails.extend(found.small);
        self.warnings.extend(reader.take_notices());
        Ok(())
    }

    fn run_span(
        &mut self,
        reader: &mut SpanReader,
        mut run: SpanRun,
        (opening, continuation): (Opening, Option<Continuation>),
        method: &Method,
    ) -> Result<SpanRun, Error> {
        // The cutter borrows the description of the track, and the reader goes on reading.
        let stream = run.video.map(|track| reader.stream(track).clone());
        let is_strict = self.task.damage == Damage::Strict;
        let mut cutter: Option<Box<dyn Cutter + '_>> = match (&stream, method) {
            (None, _) => None,
            (Some(_), Method::Copy(reframe)) => {
                Some(Box::new(CopyCutter::new(reframe.as_deref(), run.bounds, continuation)))
            }
            (Some(stream), Method::Smart(style)) => {
                Some(Box::new(SmartCutter::new(stream, style, run.bounds, is_strict, continuation)))
            }
            (Some(stream), Method::Encode(encode)) => {
                Some(Box::new(EncodeCutter::new(stream, encode, run.bounds, continuation)?))
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
        if let Some(cutter) = &cutter {
            self.is_copied = cutter.copies_to_end();
            self.tally.damaged_frames += cutter.damaged();
            self.note_sets(cutter.news());
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
            let start = pts(&packet);
            let end = start + packet.duration();
            run.shown.push(Shown { start, end, is_key: packet.is_key(), is_damaged: packet.is_corrupt() });
            self.tally.damaged_packets += u64::from(packet.is_corrupt());
            if start >= run.zero {
                self.tally.frames += 1;
                self.tally.encoded_frames += u64::from(encoded);
                run.end = run.end.max(end);
            } else {
                self.tally.hidden = self.tally.hidden.max(run.clock.timebase.nanos(run.zero - start));
            }
            self.write(run, track, packet)?;
        }
        Ok(())
    }

    /// Moves a packet to its place in the file, and writes it.
    pub(super) fn write(&mut self, run: &SpanRun, track: usize, mut packet: Packet) -> Result<(), Error> {
        let at = run.clocks[track].wall(pts(&packet));
        if packet.is_corrupt() && self.task.damage == Damage::Strict {
            return Err(Error::Unusable(format!("the source is damaged at {at}")));
        }
        if let Some(map) = &run.maps[track] {
            map.apply(&mut packet);
        }
        self.put(track, packet).map_err(|error| match error {
            Error::Unusable(problem) => Error::Unusable(format!("{problem}, at {at}")),
            error => error,
        })?;
        if Some(track) == run.video || run.video.is_none() {
            self.host.report(self.progress_at(run))?;
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

    /// Fills `gap`, if gaps are to be filled and it is one.
    fn fill(&mut self, gap: TimeRange) -> Result<(), Error> {
        if self.task.gaps != GapFill::Black {
            return Ok(());
        }
        // What is before it may have ended a little early or late; the frames behind it must be where they belong.
        let start = self.tally.last.map_or(gap.start, |last| last.min(gap.end));
        let length = gap.end.nanos_since(start);
        if length <= 0 {
            return Ok(());
        }
        if let (Some(video), Some(black)) = (self.video, &self.chosen.black) {
            let timebase = self.layout[video].timebase;
            let fill = Fill::new(black, timebase, self.tally.offset, length, self.delay)?;
            let Some(mut fill) = fill else { return Ok(()) };
            while let Some(packet) = fill.next()? {
                self.tally.frames += 1;
                self.tally.encoded_frames += 1;
                self.put(video, packet)?;
                self.host.report(self.progress(Phase::Render))?;
            }
        }
        self.tally.first.get_or_insert(start);
        self.tally.last = Some(gap.end);
        self.tally.offset += length;
        self.fill_sound(self.tally.offset)
    }

    fn progress_at(&self, run: &SpanRun) -> Progress {
        let done = self.tally.offset + run.clock.timebase.nanos((run.end - run.zero).max(0));
        Progress { media_done: done, ..self.progress(Phase::Render) }
    }

    fn progress(&self, phase: Phase) -> Progress {
        let written_bytes = self.muxer.written();
        Progress { phase, media_done: self.tally.offset, media_total: total(self.task), written_bytes }
    }

    fn index_needed(&self) -> u64 {
        let samples: u64 = self.layout.iter().map(TrackLayout::samples).sum();
        let configuration: u64 = self.layout.iter().map(TrackLayout::configuration_bytes).sum();
        layout::index_bound(self.task, samples, configuration)
    }

    fn expected(&self) -> Expected {
        Expected {
            container: self.task.container,
            tracks: self.units(),
            video: self.video.map(|video| self.layout[..video].iter().filter(|layout| layout.output.is_some()).count()),
            duration: self.tally.offset,
            hidden: self.tally.hidden,
            encoded: self.tally.encoded_frames > 0,
            is_damaged: self.tally.damaged_packets + self.tally.damaged_frames > 0,
        }
    }
}
