//! Reading containers: the demuxer is named, the bytes come through a reader of ours, and nothing else can be opened.

use std::ptr;

use ff::codec::Parameters;
use ffmpeg_next as ff;

use super::{Labels, Packet, io::Fault, read_io::ReadIo, source_error};
use crate::{
    Error, Format, TrackInfo, TrackKind,
    chain::Bytes,
    language::iso_639_2,
    time::{Timebase, WallTime},
};

/// More streams than any recording has; a file that claims thousands is an attack (reliability.md T26).
const MAX_STREAMS: &str = "32";
/// How much of a source may be read to learn what it holds, in bytes and in microseconds of media.
const PROBE_BYTES: &str = "5000000";
const PROBE_MICROS: &str = "5000000";
/// 8K, and no more: a small file can claim a picture of gigabytes.
pub(super) const MAX_PIXELS: i64 = 33_177_600;
/// More frames than this are held back by no decoder (ITU-T H.264 §A.3.1, H.265 §A.4.2).
const MAX_DELAY: usize = 16;

/// An open source: its tracks, and its packets in the order of the bytes.
pub(crate) struct Demuxer {
    input: ff::format::context::Input,
    /// What `input` reads through: dropped after it.
    _io: ReadIo,
    fault: Fault,
    streams: Vec<Stream>,
}

/// A track of an open source.
#[derive(Clone)]
pub(crate) struct Stream {
    /// Index in the container.
    pub(crate) index: usize,
    /// Its id in the container; in a TS, the PID.
    pub(crate) id: u16,
    /// What a caller is told of it.
    pub(crate) info: TrackInfo,
    /// What the container says about it besides.
    pub(crate) labels: Labels,
    /// Seconds in a tick of its times.
    pub(crate) timebase: Timebase,
    /// Everything a decoder or muxer needs to know of it.
    pub(crate) parameters: Parameters,
    /// First presentation time, if known before reading.
    pub(crate) start: Option<i64>,
    /// Length in ticks, if known before reading.
    pub(crate) duration: Option<i64>,
    /// How many packets the container's index has, if it has one.
    pub(crate) packets: Option<u64>,
    /// A still picture that is no part of the media.
    pub(crate) is_cover: bool,
    /// Whether the track is the one to play where there are several of its kind.
    pub(crate) is_default: bool,
    /// How many frames a decoder holds back to put them in order; video only.
    pub(crate) delay: usize,
}

impl Demuxer {
    /// Opens the bytes of `reader` as `format`. `thorough` reads ahead to learn what the container doesn't say up front; formats that
    /// say all in their header don't need it for copying.
    ///
    /// # Errors
    /// `Unusable` if the bytes aren't what `format` says, `Limit` for absurd claims, `Io` if a source can't be read.
    pub(crate) fn open<R>(reader: R, format: Format, thorough: bool) -> Result<Self, Error>
    where
        R: Bytes + 'static,
    {
        let fault = Fault::default();
        let io = ReadIo::new(Box::new(reader), fault.clone())?;
        let input = open_input(&io, format, thorough).map_err(|error| fault.explain(error))?;
        let mut demuxer = Self { input, _io: io, fault, streams: Vec::new() };
        demuxer.streams = demuxer.input.streams().map(|stream| describe(&stream)).collect::<Result<_, _>>()?;
        Ok(demuxer)
    }

    /// Learns what the container doesn't say up front, as `thorough` does.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn read_ahead(&mut self) -> Result<(), Error> {
        // SAFETY: the context is open and exclusively borrowed.
        unsafe { find_stream_info(&mut self.input) }.map_err(|error| self.fault.explain(error))?;
        self.streams = self.input.streams().map(|stream| describe(&stream)).collect::<Result<_, _>>()?;
        Ok(())
    }

    pub(crate) fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// Whether there is KLV metadata, of which it isn't known whether it is synchronous.
    pub(crate) fn has_klv(&self) -> bool {
        self.streams.iter().any(|stream| stream.parameters.id() == ff::codec::Id::SMPTE_KLV)
    }

    /// Says of which PIDs KLV metadata is synchronous: a muxer must say so again.
    pub(crate) fn mark_synchronous(&mut self, pids: &[u16]) {
        for stream in self.streams.iter_mut().filter(|stream| pids.contains(&stream.id)) {
            if stream.parameters.id() == ff::codec::Id::SMPTE_KLV {
                // SAFETY: the parameters are ours alone; a number is set.
                unsafe { (*stream.parameters.as_mut_ptr()).profile = ff::ffi::FF_PROFILE_KLVA_SYNC };
            }
        }
    }

    /// Says what language the tracks are in, as a manifest states it, where they don't say themselves.
    pub(crate) fn assume_language(&mut self, tag: &str) {
        let Some(language) = iso_639_2(tag) else { return };
        for stream in self.streams.iter_mut().filter(|stream| stream.labels.language.is_none()) {
            stream.labels.language = Some(language.clone());
            stream.info.language = Some(language.clone());
        }
    }

    /// Reads the next packet into `packet`; false at the end.
    ///
    /// # Errors
    /// `Io` or `Unusable`: the end of a damaged source is never taken for its end.
    pub(crate) fn read(&mut self, packet: &mut Packet) -> Result<bool, Error> {
        loop {
            match packet.read(&mut self.input) {
                Ok(()) if packet.size() == 0 => continue,
                Ok(()) => return Ok(true),
                Err(ff::Error::Eof) => {
                    // libav reports some failed reads as the end; the reader knows better.
                    let error = self.fault.explain(Error::Cancelled);
                    return if error == Error::Cancelled { Ok(false) } else { Err(error) };
                }
                Err(error) => return Err(self.fault.explain(source_error("reading the source", error))),
            }
        }
    }

    /// Continues at the last sync point of stream `index` at or before `ticks` of its timebase, or near it.
    ///
    /// # Errors
    /// `Unusable` if the container can't be searched.
    pub(crate) fn seek(&mut self, index: usize, ticks: i64) -> Result<(), Error> {
        let index = i32::try_from(index).map_err(|_| Error::Internal(format!("stream {index}")))?;
        // SAFETY: the context is open and exclusively borrowed; the index is one of its streams, or libav refuses it.
        let result = unsafe {
            let context = self.input.as_mut_ptr();
            match ff::ffi::av_seek_frame(context, index, ticks, ff::ffi::AVSEEK_FLAG_BACKWARD) {
                // A search for what lies before the first sync point fails: then the front is where to continue.
                error if error < 0 => ff::ffi::av_seek_frame(context, -1, 0, ff::ffi::AVSEEK_FLAG_BYTE),
                found => found,
            }
        };
        if result < 0 {
            return Err(self.fault.explain(source_error("seeking in the source", ff::Error::from(result))));
        }
        Ok(())
    }

    /// Continues at the first byte.
    ///
    /// # Errors
    /// `Unusable` if the container can't be searched.
    pub(crate) fn rewind(&mut self) -> Result<(), Error> {
        // SAFETY: the context is open and exclusively borrowed; the start of the bytes is a valid target for any format.
        let result = unsafe { ff::ffi::av_seek_frame(self.input.as_mut_ptr(), -1, 0, ff::ffi::AVSEEK_FLAG_BYTE) };
        if result < 0 {
            return Err(self.fault.explain(source_error("rewinding the source", ff::Error::from(result))));
        }
        Ok(())
    }

    /// When the media was recorded, if its metadata says so.
    pub(crate) fn creation_time(&self) -> Option<WallTime> {
        let text = self.input.metadata().get("creation_time").map(str::to_owned)?;
        let instant: jiff::Timestamp = text.parse().ok()?;
        let nanos = i64::try_from(instant.as_nanosecond()).ok()?;
        // 1904 and 1970 are how MP4 writers say "unknown".
        (nanos > 0).then(|| WallTime::from_nanos(nanos))
    }

    /// Length of the whole in microseconds, if the container says so.
    pub(crate) fn duration_micros(&self) -> Option<i64> {
        (self.input.duration() > 0).then(|| self.input.duration())
    }
}

fn demuxer_name(format: Format) -> &'static std::ffi::CStr {
    match format {
        Format::Mp4 => c"mov",
        Format::MpegTs => c"mpegts",
        Format::Matroska => c"matroska",
    }
}

fn open_input(io: &ReadIo, format: Format, thorough: bool) -> Result<ff::format::context::Input, Error> {
    let mut options = ff::Dictionary::new();
    options.set("format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2,mpegts,matroska,webm");
    options.set("protocol_whitelist", "");
    options.set("max_streams", MAX_STREAMS);
    options.set("probesize", PROBE_BYTES);
    options.set("analyzeduration", PROBE_MICROS);
    // The times of teletext are believed: FFmpeg would take those that are far ahead of the clock, as its own muxer writes
    // them, for wrong.
    options.set("fix_teletext_pts", "0");
    // Sources that a MOV names in its `dref` box would be opened by path.
    if format == Format::Mp4 {
        options.set("enable_drefs", "0");
    }
    // SAFETY: `find_input_format` only reads a static table. The context is ours from allocation to the end of this
    // function: on failure libav frees it, on success `wrap` takes it. Either way `pb` is left to `io`, which lives longer. The
    // dictionary is taken back, so that what is left in it is freed once.
    unsafe {
        let demuxer = ff::ffi::av_find_input_format(demuxer_name(format).as_ptr());
        let mut context = ff::ffi::avformat_alloc_context();
        if demuxer.is_null() || context.is_null() {
            return Err(Error::Internal(format!("no demuxer for {format:?}")));
        }
        (*context).pb = io.as_ptr();
        (*context).flags |= ff::ffi::AVFMT_FLAG_CUSTOM_IO;
        // A header that says all makes parsing each packet a waste.
        if format == Format::Mp4 && !thorough {
            (*context).flags |= ff::ffi::AVFMT_FLAG_NOPARSE | ff::ffi::AVFMT_FLAG_NOFILLIN;
        }
        let mut raw = options.disown();
        let opened = ff::ffi::avformat_open_input(&mut context, c"".as_ptr(), demuxer, &mut raw);
        drop(ff::Dictionary::own(raw));
        if opened < 0 {
            return Err(source_error("opening the source", ff::Error::from(opened)));
        }
        let mut input = ff::format::context::Input::wrap(context);
        check_claims(context)?;
        if thorough {
            find_stream_info(&mut input)?;
        }
        Ok(input)
    }
}

/// Reads ahead until the parameters of all streams are known. It decodes, so the decoders get limits too.
///
/// # Safety
/// `input` is open.
unsafe fn find_stream_info(input: &mut ff::format::context::Input) -> Result<(), Error> {
    // SAFETY: the context is open and exclusively borrowed; the array has one dictionary for each stream it has now, as
    // the call demands, and each is freed here whatever the call made of it.
    unsafe {
        let context = input.as_mut_ptr();
        let count = (*context).nb_streams as usize;
        let mut options = vec![ptr::null_mut(); count.max(1)];
        for option in &mut options {
            let limit = std::ffi::CString::new(MAX_PIXELS.to_string()).expect("digits hold no NUL");
            ff::ffi::av_dict_set(option, c"max_pixels".as_ptr(), limit.as_ptr(), 0);
            ff::ffi::av_dict_set(option, c"threads".as_ptr(), c"1".as_ptr(), 0);
        }
        let found = ff::ffi::avformat_find_stream_info(context, options.as_mut_ptr());
        for option in &mut options {
            ff::ffi::av_dict_free(option);
        }
        if found < 0 {
            return Err(source_error("reading the source's parameters", ff::Error::from(found)));
        }
        check_claims(context)
    }
}

/// Refuses what no recording holds.
///
/// # Safety
/// `context` is open.
unsafe fn check_claims(context: *const ff::ffi::AVFormatContext) -> Result<(), Error> {
    // SAFETY: an open context has `nb_streams` valid streams, each with its parameters.
    unsafe {
        for index in 0..(*context).nb_streams as usize {
            let stream = *(*context).streams.add(index);
            let parameters = (*stream).codecpar;
            let pixels = i64::from((*parameters).width) * i64::from((*parameters).height);
            if (*parameters).width < 0 || (*parameters).height < 0 || pixels > MAX_PIXELS {
                return Err(Error::Limit(format!(
                    "the source claims pictures of {}x{}; at most {MAX_PIXELS} pixels are read",
                    (*parameters).width,
                    (*parameters).height
                )));
            }
            if Timebase::new((*stream).time_base.num, (*stream).time_base.den).is_none() {
                return Err(Error::Unusable(format!(
                    "stream {index} has the timebase {}/{}",
                    (*stream).time_base.num,
                    (*stream).time_base.den
                )));
            }
        }
    }
    Ok(())
}

/// What a container calls a codec that FFmpeg doesn't know: `wvtt`, `tmcd`.
fn tag_name(tag: u32) -> Option<String> {
    let bytes = tag.to_le_bytes();
    bytes.iter().all(u8::is_ascii_alphanumeric).then(|| bytes.iter().map(|byte| char::from(*byte)).collect())
}

fn describe(stream: &ff::format::stream::Stream<'_>) -> Result<Stream, Error> {
    // A copy of the parameters: they outlive the context.
    let parameters = stream.parameters().clone();
    // SAFETY: `parameters` is valid for the length of this function, and only numbers are read.
    let (codec, size, delay) = unsafe {
        let raw = &*parameters.as_ptr();
        let name = std::ffi::CStr::from_ptr(ff::ffi::avcodec_get_name(raw.codec_id));
        let name = name.to_string_lossy().into_owned();
        let name = if name == "none" { tag_name(raw.codec_tag).unwrap_or(name) } else { name };
        let delay = usize::try_from(raw.video_delay).unwrap_or(0).min(MAX_DELAY);
        (name, (raw.width.unsigned_abs(), raw.height.unsigned_abs()), delay)
    };
    let kind = match parameters.medium() {
        ff::media::Type::Video => TrackKind::Video,
        ff::media::Type::Audio => TrackKind::Audio,
        ff::media::Type::Subtitle => TrackKind::Subtitle,
        _ => TrackKind::Data,
    };
    let rate = stream.avg_frame_rate();
    let timebase = stream.time_base();
    let timebase = Timebase::new(timebase.0, timebase.1)
        .ok_or_else(|| Error::Unusable(format!("stream {} has no timebase", stream.index())))?;
    let known = |ticks: i64| (ticks != ff::ffi::AV_NOPTS_VALUE).then_some(ticks);
    let labels = Labels::of(stream);
    let disposition = stream.disposition();
    Ok(Stream {
        index: stream.index(),
        id: u16::try_from(stream.id()).unwrap_or_default(),
        info: TrackInfo {
            kind,
            codec,
            language: labels.language.clone(),
            size: (kind == TrackKind::Video).then_some(size),
            frame_rate: (kind == TrackKind::Video && rate.0 > 0 && rate.1 > 0).then_some((rate.0, rate.1)),
            title: labels.title.clone(),
            dispositions: labels.dispositions(),
        },
        labels,
        timebase,
        parameters,
        start: known(stream.start_time()),
        duration: known(stream.duration()).filter(|ticks| *ticks > 0),
        packets: u64::try_from(stream.frames()).ok().filter(|packets| *packets > 0),
        is_cover: disposition.contains(ff::format::stream::Disposition::ATTACHED_PIC),
        is_default: disposition.contains(ff::format::stream::Disposition::DEFAULT),
        delay,
    })
}
