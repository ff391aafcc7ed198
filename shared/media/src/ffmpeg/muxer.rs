//! Writing containers.

use std::{
    fs::File,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ff::{codec::Parameters, format::context::StreamIo};
use ffmpeg_next as ff;

use super::{
    Labels, Packet,
    io::{Fault, Sink},
    output_error,
    write_behind::WriteBehind,
};
use crate::{Container, Error, digest::FileDigest, time::Timebase, ts::SectionWriter};

/// Bytes that FFmpeg gathers before they are written.
const BUFFER: usize = 1 << 17;
/// How far a TS multiplexer may run ahead of the clock, in microseconds: 0.7 s, as T-STD buffers allow.
const TS_MAX_DELAY: i32 = 700_000;
/// A PCR goes with the first frame so many milliseconds after the last PCR. At most 100 may pass (ISO/IEC 13818-1 §2.7.2);
/// left to itself, the muxer waits for as many frames as just about fit, by a rate that is only an average.
const TS_PCR_PERIOD: &str = "40";

/// The PID of the first track of a TS that FFmpeg writes.
const FIRST_PID: u16 = 0x100;
/// A TS of a single frame can be too short for readers to tell what it is.
const MIN_TS_PACKETS: u64 = 64;
/// A TS packet that carries nothing (ISO/IEC 13818-1 §2.4.1).
const NULL_PACKET: [u8; 188] = {
    let mut packet = [0xff; 188];
    packet[0] = 0x47;
    packet[1] = 0x1f;
    packet[3] = 0x10;
    packet
};

/// A track of a container to be written.
pub(crate) struct OutputStream {
    /// What the track is.
    pub(crate) parameters: Parameters,
    /// Codec configuration to write in place of that in `parameters`.
    pub(crate) extradata: Option<Vec<u8>>,
    /// Seconds in a tick of the packets that will come.
    pub(crate) timebase: Timebase,
    /// Average frames in a second; video only.
    pub(crate) frame_rate: Option<(i32, i32)>,
    /// What the container is to say about it besides.
    pub(crate) labels: Labels,
    /// Whether keyframes bring their own parameter sets.
    pub(crate) in_band: bool,
}

/// Options of a container.
pub(crate) struct MuxerOptions {
    /// The format.
    pub(crate) container: Container,
    /// Metadata of the file.
    pub(crate) metadata: Vec<(String, String)>,
    /// Bytes kept free at the front for the index; MP4 and MOV only.
    pub(crate) index_bytes: u64,
}

/// A container being written.
pub(crate) struct Muxer {
    container: Container,
    /// The sink has the other handle.
    file: Arc<Mutex<WriteBehind>>,
    output: ff::format::context::Output,
    fault: Fault,
    length: Arc<AtomicU64>,
    sources: Vec<ff::Rational>,
    targets: Vec<ff::Rational>,
}

impl Muxer {
    /// Starts a container in `file`, which is empty.
    ///
    /// # Errors
    /// `Unsupported` if a track doesn't fit into the container; `NoSpace`, `Io`.
    pub(crate) fn new(file: File, streams: &[OutputStream], options: &MuxerOptions) -> Result<Self, Error> {
        let name = match options.container {
            Container::Ts => "mpegts",
            Container::Mov => "mov",
            Container::Mp4 => "mp4",
        };
        // A TS is written from front to back; an MP4's index comes to its front last.
        let file = Arc::new(Mutex::new(WriteBehind::start(file, options.container == Container::Ts)));
        let sink = Sink::new(file.clone());
        let (fault, length) = (sink.fault.clone(), sink.length.clone());
        let fail = |error| fault.explain(output_error("starting the output", error));
        let is_splices = |stream: &OutputStream| stream.parameters.id() == ff::codec::Id::SCTE_35;
        let splices: Vec<u16> =
            (FIRST_PID..).zip(streams).filter(|(_, stream)| is_splices(stream)).map(|(pid, _)| pid).collect();
        let io = match options.container {
            Container::Ts if !splices.is_empty() => {
                StreamIo::from_write_seek_with_capacity(SectionWriter::new(sink, &splices), BUFFER)
            }
            _ => StreamIo::from_write_seek_with_capacity(sink, BUFFER),
        };
        let io = io.map_err(fail)?;
        let mut output = ff::format::output_to_stream(io, None, Some(name)).map_err(fail)?;
        for stream in streams {
            add_stream(&mut output, stream, options.container)?;
        }
        let mut metadata = ff::Dictionary::new();
        for (key, value) in &options.metadata {
            metadata.set(key, value);
        }
        output.set_metadata(metadata);
        let mut header = ff::Dictionary::new();
        // FLAC in MP4 counts as experimental in FFmpeg 5.1; its mapping has been final, and read by all, since 2017.
        if streams.iter().any(|stream| stream.parameters.id() == ff::codec::Id::FLAC) {
            header.set("strict", "experimental");
        }
        match options.container {
            Container::Ts => {
                header.set("pcr_period", TS_PCR_PERIOD);
                // SAFETY: the context is open and exclusively ours; a number is set.
                unsafe { (*output.as_mut_ptr()).max_delay = TS_MAX_DELAY };
            }
            Container::Mov | Container::Mp4 => {
                header.set("moov_size", &options.index_bytes.to_string());
                let timescale =
                    streams.iter().map(|stream| stream.timebase.den()).find(|den| (1000..=1_000_000).contains(den));
                header.set("movie_timescale", &timescale.unwrap_or(90_000).to_string());
            }
        }
        output.write_header_with(header).map_err(|error| match error {
            ff::Error::Other { errno } if errno == ff::error::EINVAL => {
                Error::Unsupported(format!("a track of the source does not fit into {name}"))
            }
            other => fail(other),
        })?;
        // The samples of an MP4 are large, and go on as they are; a TS comes in packets of 188 bytes.
        set_direct(&mut output, options.container != Container::Ts);
        let sources = streams.iter().map(|stream| ff::Rational(stream.timebase.num(), stream.timebase.den())).collect();
        let targets = output.streams().map(|stream| stream.time_base()).collect();
        Ok(Self { container: options.container, file, output, fault, length, sources, targets })
    }

    /// Writes `packet` to track `index`. Tracks are interleaved by decoding time.
    ///
    /// # Errors
    /// `NoSpace`, `Io`; `Unusable` if the packet is damaged, which is left out then; `Internal` if its times go backwards.
    pub(crate) fn write(&mut self, index: usize, packet: &mut Packet) -> Result<(), Error> {
        packet.set_stream(index);
        packet.set_position(-1);
        packet.rescale_ts(self.sources[index], self.targets[index]);
        packet.write_interleaved(&mut self.output).map_err(|error| match error {
            ff::Error::InvalidData => Error::Unusable("a packet of the source is damaged".into()),
            error => self.fault.explain(output_error("writing the output", error)),
        })
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.length.load(Ordering::Relaxed)
    }

    /// How many null packets a TS needs for readers to recognise it.
    fn padding(&mut self) -> u64 {
        // SAFETY: the context is open and ours; `avio_seek` by nothing tells the position.
        let position = unsafe { ff::ffi::avio_seek((*self.output.as_mut_ptr()).pb, 0, 1) };
        MIN_TS_PACKETS.saturating_sub(u64::try_from(position).unwrap_or(0) / NULL_PACKET.len() as u64)
    }

    /// Writes the index, and flushes. Returns the hash of the file if it is known by now.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    pub(crate) fn finish(mut self) -> Result<Option<FileDigest>, Error> {
        let fault = self.fault.clone();
        // The index is made of numbers.
        set_direct(&mut self.output, false);
        self.output.write_trailer().map_err(|error| fault.explain(output_error("finishing the output", error)))?;
        let padding = if self.container == Container::Ts { self.padding() } else { 0 };
        // SAFETY: the context is open and ours, and the packet is as long as is said. Flushing here, and not in the
        // destructor, lets an error be seen.
        let error = unsafe {
            let io = (*self.output.as_mut_ptr()).pb;
            for _ in 0..padding {
                ff::ffi::avio_write(io, NULL_PACKET.as_ptr(), NULL_PACKET.len() as i32);
            }
            ff::ffi::avio_flush(io);
            (*io).error
        };
        if error < 0 {
            return Err(fault.explain(output_error("finishing the output", ff::Error::from(error))));
        }
        let Self { file, output, .. } = self;
        // The sink lets go of its handle here.
        drop(output);
        let file = Arc::into_inner(file).ok_or_else(|| Error::Internal("the output is still written to".into()))?;
        let written = file.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
        written.map_err(|error| {
            fault.set(&error);
            fault.explain(Error::NoSpace)
        })
    }
}

/// Whether what is written goes past FFmpeg's buffer.
fn set_direct(output: &mut ff::format::context::Output, is_direct: bool) {
    // SAFETY: the context is open and exclusively borrowed, with the `pb` that it was opened with; a number is set.
    unsafe { (*(*output.as_mut_ptr()).pb).direct = i32::from(is_direct) };
}

fn add_stream(
    output: &mut ff::format::context::Output,
    stream: &OutputStream,
    container: Container,
) -> Result<(), Error> {
    let fail = |error| output_error("adding a track to the output", error);
    let mut added = output.add_stream(ff::codec::Id::None).map_err(fail)?;
    added.set_parameters(stream.parameters.clone());
    added.set_time_base(ff::Rational(stream.timebase.num(), stream.timebase.den()));
    if let Some((num, den)) = stream.frame_rate {
        added.set_avg_frame_rate(ff::Rational(num, den));
    }
    stream.labels.apply(&mut added, container)?;
    // SAFETY: the stream was just added and is exclusively borrowed; its parameters are valid. The tag of the source's
    // container means nothing in this one; the muxer chooses, but for HEVC, where only `hvc1` plays everywhere, and for
    // parameter sets in the samples, which have names of their own (ISO/IEC 14496-15 §5.4.2, §8.4.1).
    unsafe {
        let parameters = (*added.as_mut_ptr()).codecpar;
        let tag = match (container, stream.parameters.id(), stream.in_band) {
            (Container::Ts, ..) => None,
            (_, ff::codec::Id::HEVC, false) => Some(b"hvc1"),
            (_, ff::codec::Id::HEVC, true) => Some(b"hev1"),
            (_, ff::codec::Id::H264, true) => Some(b"avc3"),
            _ => None,
        };
        (*parameters).codec_tag = tag.map_or(0, |tag| u32::from_le_bytes(*tag));
        if let Some(extradata) = &stream.extradata {
            set_extradata(parameters, extradata)?;
        }
    }
    Ok(())
}

/// Replaces the codec configuration.
///
/// # Safety
/// `parameters` is valid and not shared.
unsafe fn set_extradata(parameters: *mut ff::ffi::AVCodecParameters, bytes: &[u8]) -> Result<(), Error> {
    let size = i32::try_from(bytes.len()).map_err(|_| Error::Internal("codec configuration is too long".into()))?;
    let padding = ff::ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
    // SAFETY: the old bytes were allocated by libav and are freed once; the new ones are allocated by libav, with the
    // zeroed padding that it demands, and belong to the parameters from here on.
    unsafe {
        let memory = ff::ffi::av_mallocz(bytes.len() + padding).cast::<u8>();
        if memory.is_null() {
            return Err(Error::Limit("out of memory".into()));
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory, bytes.len());
        ff::ffi::av_freep((&raw mut (*parameters).extradata).cast());
        (*parameters).extradata = memory;
        (*parameters).extradata_size = size;
    }
    Ok(())
}
