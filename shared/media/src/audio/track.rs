//! An audio track of the file that is written sample by sample, through all spans of the clip.

use super::pcm;
use crate::{
    Error,
    ffmpeg::{Packet, Parameters, Planes, SoundEncoder, SoundSettings, SoundShape, Stream, packet_of},
    source::pts,
    time::{NANOS, Rounding, Timebase},
};

/// Sample rates of AAC (ISO/IEC 14496-3 table 1.18).
const AAC_RATES: [i32; 13] =
    [7_350, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000];
/// Bits in a second of one channel at 44.1 kHz or more: where FFmpeg's encoder is hardly told from the source.
const CHANNEL_BITS: i64 = 80_000;
/// Samples in a packet of PCM.
const PCM_PACKET: usize = 1_024;

/// Some samples of all channels.
pub(super) enum Samples {
    /// To be encoded.
    Planes(Planes),
    /// As they are stored, and the bytes of one.
    Bytes(Vec<u8>, usize),
}

impl Samples {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Planes(planes) => planes.first().map_or(0, Vec::len),
            Self::Bytes(bytes, block) => bytes.len() / block,
        }
    }

    /// Removes the first `count` samples.
    fn skip(&mut self, count: usize) {
        match self {
            Self::Planes(planes) => planes.iter_mut().for_each(|plane| drop(plane.drain(..count))),
            Self::Bytes(bytes, block) => drop(bytes.drain(..count * *block)),
        }
    }

    fn truncate(&mut self, count: usize) {
        match self {
            Self::Planes(planes) => planes.iter_mut().for_each(|plane| plane.truncate(count)),
            Self::Bytes(bytes, block) => bytes.truncate(count.saturating_mul(*block)),
        }
    }

    /// Keeps what lies in `from..to`, the first sample being at `position`; says where the first that is left is.
    pub(super) fn keep(&mut self, position: i64, from: i64, to: i64) -> i64 {
        let count = |samples: i64| usize::try_from(samples.max(0)).unwrap_or(usize::MAX);
        self.truncate(count(to.saturating_sub(position)));
        let skipped = count(from.saturating_sub(position)).min(self.len());
        self.skip(skipped);
        position.saturating_add(skipped as i64)
    }
}

enum Output {
    Encoder(Box<SoundEncoder>, Planes),
    Pcm(pcm::Layout, Vec<u8>),
}

/// An audio track of the file: samples go in, each with its place, and packets come out. What is missing between two runs
/// of samples becomes silence, and what comes twice is kept once, so that a sample is heard when its place says.
pub(crate) struct SoundTrack {
    /// Samples in a second.
    shape: SoundShape,
    /// Where the next sample goes: so many are in the file, or on their way.
    cursor: i64,
    /// Where the first sample that is not in a packet yet is.
    written: i64,
    output: Output,
}

impl SoundTrack {
    /// A track that the sound of `stream` is encoded for.
    ///
    /// # Errors
    /// `Unsupported` if it can't be encoded.
    pub(crate) fn encoded(stream: &Stream) -> Result<Self, Error> {
        let source = known_shape(stream)?;
        let rate = aac_rate(source.rate);
        let open = |shape: SoundShape| {
            let bits = i64::from(shape.channels) * CHANNEL_BITS * i64::from(rate.min(44_100)) / 44_100;
            let settings = SoundSettings { encoder: "aac", shape, bit_rate: bits, options: Vec::new() };
            SoundEncoder::open(&settings).map(|encoder| (shape, Box::new(encoder)))
        };
        // What channels are arranged in a way that the encoder doesn't know become two.
        let (shape, encoder) = open(source.encodable(rate)).or_else(|_| open(source.stereo(rate)))?;
        let empty = vec![Vec::new(); usize::try_from(shape.channels).unwrap_or(0)];
        Ok(Self { shape, cursor: 0, written: 0, output: Output::Encoder(encoder, empty) })
    }

    /// A track that the samples of `stream` are copied to.
    ///
    /// # Errors
    /// `Unsupported` if they aren't PCM.
    pub(crate) fn pcm(stream: &Stream) -> Result<Self, Error> {
        let shape = known_shape(stream)?;
        let layout = pcm::Layout::of(&stream.info.codec, shape.channels)
            .ok_or_else(|| Error::Unsupported(format!("{} can't be cut between samples", stream.info.codec)))?;
        Ok(Self { shape, cursor: 0, written: 0, output: Output::Pcm(layout, Vec::new()) })
    }

    /// What a muxer needs to know of an encoded track; `None` where the source's parameters stay as they are.
    pub(crate) fn parameters(&self) -> Option<Parameters> {
        match &self.output {
            Output::Encoder(encoder, _) => Some(encoder.parameters()),
            Output::Pcm(..) => None,
        }
    }

    /// Seconds in a sample; times of its packets are in samples of the file.
    pub(crate) fn timebase(&self) -> Timebase {
        Timebase::new(1, self.shape.rate).unwrap_or(Timebase::NANOS)
    }

    pub(super) fn shape(&self) -> SoundShape {
        self.shape
    }

    /// How samples are stored, where they are copied.
    pub(super) fn layout(&self) -> Option<pcm::Layout> {
        match &self.output {
            Output::Encoder(..) => None,
            Output::Pcm(layout, _) => Some(*layout),
        }
    }

    /// The sample nearest to a time of the file, in nanoseconds.
    pub(crate) fn position(&self, nanos: i64) -> i64 {
        Timebase::NANOS.rescale(nanos, self.timebase(), Rounding::Nearest)
    }

    /// Up to where there is sound, in nanoseconds of the file.
    pub(crate) fn end(&self) -> i64 {
        self.timebase().nanos(self.cursor)
    }

    /// Puts `samples` at `position`.
    ///
    /// # Errors
    /// As [`SoundEncoder::encode`].
    pub(super) fn put(&mut self, position: i64, mut samples: Samples, out: &mut Vec<Packet>) -> Result<(), Error> {
        let position = samples.keep(position, self.cursor, i64::MAX);
        if samples.len() == 0 {
            return Ok(());
        }
        self.silence(position, out)?;
        self.append(samples, out)
    }

    /// Fills with silence up to `position`, if that isn't reached yet.
    ///
    /// # Errors
    /// As [`SoundEncoder::encode`].
    pub(super) fn silence(&mut self, position: i64, out: &mut Vec<Packet>) -> Result<(), Error> {
        while self.cursor < position {
            let count = usize::try_from(position - self.cursor).unwrap_or(PCM_PACKET).min(PCM_PACKET);
            let samples = match &self.output {
                Output::Encoder(_, planes) => Samples::Planes(vec![vec![0.0; count]; planes.len()]),
                Output::Pcm(layout, _) => Samples::Bytes(vec![layout.silence; count * layout.block], layout.block),
            };
            self.append(samples, out)?;
        }
        Ok(())
    }

    /// Fills a stretch without sound, up to `end` in nanoseconds of the file, by no more than `most` nanoseconds, so
    /// that what comes out stays small. Says whether more is left to fill.
    ///
    /// # Errors
    /// As [`SoundEncoder::encode`].
    pub(crate) fn fill(&mut self, end: i64, most: i64, out: &mut Vec<Packet>) -> Result<bool, Error> {
        let (end, step) = (self.position(end), self.position(most).max(1));
        self.silence(end.min(self.cursor.saturating_add(step)), out)?;
        Ok(self.cursor < end)
    }

    fn append(&mut self, samples: Samples, out: &mut Vec<Packet>) -> Result<(), Error> {
        self.cursor += samples.len() as i64;
        match (&mut self.output, samples) {
            (Output::Encoder(_, waiting), Samples::Planes(planes)) if planes.len() == waiting.len() => {
                waiting.iter_mut().zip(planes).for_each(|(waiting, plane)| waiting.extend(plane));
            }
            (Output::Pcm(_, waiting), Samples::Bytes(bytes, _)) => waiting.extend(bytes),
            _ => return Err(Error::Internal("samples of another kind than the track's".into())),
        }
        self.write(false, out)
    }

    /// Turns what waits into packets; the last, smaller one only at the end.
    fn write(&mut self, is_end: bool, out: &mut Vec<Packet>) -> Result<(), Error> {
        loop {
            let waiting = usize::try_from(self.cursor - self.written).unwrap_or(0);
            let full = match &self.output {
                Output::Encoder(encoder, _) => encoder.frame_samples(),
                Output::Pcm(..) => PCM_PACKET,
            };
            if waiting == 0 || (waiting < full && !is_end) {
                return Ok(());
            }
            let count = waiting.min(full);
            match &mut self.output {
                Output::Encoder(encoder, planes) => {
                    encoder.encode(Some(planes), count, self.written, out)?;
                    planes.iter_mut().for_each(|plane| drop(plane.drain(..count)));
                }
                Output::Pcm(layout, bytes) => {
                    let data: Vec<u8> = bytes.drain(..count * layout.block).collect();
                    out.push(packet_of(&data, self.written, count as i64));
                }
            }
            self.written += count as i64;
        }
    }

    /// Ends the track: what is held comes out.
    ///
    /// # Errors
    /// As [`SoundEncoder::encode`].
    pub(crate) fn finish(&mut self, out: &mut Vec<Packet>) -> Result<(), Error> {
        self.write(true, out)?;
        if let Output::Encoder(encoder, _) = &mut self.output
            && self.cursor > 0
        {
            encoder.finish(out)?;
            // The last frame is filled up; its length says how much of it is to be heard.
            out.retain(|packet| pts(packet) < self.cursor);
            for packet in out {
                packet.set_duration(packet.duration().min(self.cursor - pts(packet)));
            }
        }
        Ok(())
    }
}

fn known_shape(stream: &Stream) -> Result<SoundShape, Error> {
    SoundShape::of_parameters(&stream.parameters)
        .ok_or_else(|| Error::Unsupported(format!("the shape of the {} sound isn't known", stream.info.codec)))
}

/// The rate to encode sound of `rate` at: its own, or the next above that AAC knows.
fn aac_rate(rate: i32) -> i32 {
    let highest = if rate % 11_025 == 0 { 88_200 } else { 96_000 };
    AAC_RATES.into_iter().find(|known| *known >= rate).unwrap_or(highest)
}

/// How much silence is made at once.
pub(crate) const FILL_STEP: i64 = 10 * NANOS;
