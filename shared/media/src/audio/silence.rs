//! Silence in the codec of a track that is copied, so that a gap in it can be filled.

use crate::{
    Error,
    ffmpeg::{Packet, SoundEncoder, SoundSettings, SoundShape, Stream, bit_rate, extradata, is_plain_aac, packet_of},
    time::{Rounding, Timebase},
};

/// How many frames of silence are encoded: the last of them has nothing of the encoder's start in it.
const FRAMES: i64 = 12;
/// Sample rates in the order of their index (ISO/IEC 14496-3 table 1.18).
const AAC_INDEX: [i32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// A frame of silence, to be repeated.
pub(crate) struct Silence {
    frame: Vec<u8>,
    samples: i64,
    rate: Timebase,
    timebase: Timebase,
}

impl Silence {
    /// Silence that goes between packets of `stream`.
    ///
    /// # Errors
    /// `Unsupported`, with the reason, if none can be made that matches.
    pub(crate) fn like(stream: &Stream) -> Result<Self, Error> {
        let codec = stream.info.codec.as_str();
        let no = |why: &str| Error::Unsupported(format!("no silence can be made to match the {codec} sound{why}"));
        let shape = SoundShape::of_parameters(&stream.parameters).ok_or_else(|| no(""))?;
        let (encoder, options) = match codec {
            "aac" if is_plain_aac(&stream.parameters) => ("aac", Vec::new()),
            // Frames that borrow bits from those before them can't stand alone.
            "mp3" => ("libmp3lame", vec![("reservoir", "0".into())]),
            "mp2" => ("mp2", Vec::new()),
            "ac3" => ("ac3", Vec::new()),
            "eac3" => ("eac3", Vec::new()),
            "opus" if shape.channels <= 2 => ("libopus", vec![("frame_duration", "20".into())]),
            _ => return Err(no("")),
        };
        let bit_rate = bit_rate(&stream.parameters).unwrap_or(i64::from(shape.channels) * 64_000);
        let settings = SoundSettings { encoder, shape, bit_rate, options };
        let mut encoder = SoundEncoder::open(&settings).map_err(|error| no(&format!(": {error}")))?;
        let samples = encoder.frame_samples();
        let mut packets = Vec::new();
        for index in 0..FRAMES {
            encoder.encode(None, samples, index * samples as i64, &mut packets)?;
        }
        let frame = packets.last().and_then(Packet::data).ok_or_else(|| no(": the encoder gave nothing"))?;
        let frame = match codec {
            // Without a configuration up front, each frame has its own header.
            "aac" if extradata(&stream.parameters).is_empty() => {
                [&adts(frame.len(), &shape).ok_or_else(|| no(""))?[..], frame].concat()
            }
            _ => frame.to_vec(),
        };
        let rate = Timebase::new(1, shape.rate).ok_or_else(|| no(""))?;
        Ok(Self { frame, samples: samples as i64, rate, timebase: stream.timebase })
    }

    /// How many frames fill the time from `from` to `to`, in ticks of the track, to the nearest.
    pub(crate) fn frames(&self, from: i64, to: i64) -> i64 {
        let samples = self.timebase.rescale(to - from, self.rate, Rounding::Nearest);
        (samples.max(0) + self.samples / 2) / self.samples
    }

    /// The frame at `index`, the first being at `from`. Times don't drift, however many there are.
    pub(crate) fn frame(&self, from: i64, index: i64) -> Packet {
        let tick = |index: i64| from + self.rate.rescale(index * self.samples, self.timebase, Rounding::Nearest);
        packet_of(&self.frame, tick(index), tick(index + 1) - tick(index))
    }
}

/// The header of an AAC frame that stands alone (ISO/IEC 14496-3 table 1.A.5).
fn adts(payload: usize, shape: &SoundShape) -> Option<[u8; 7]> {
    let rate = AAC_INDEX.iter().position(|rate| *rate == shape.rate)? as u32;
    let channels = match shape.channels {
        1..=6 => shape.channels.unsigned_abs(),
        8 => 7,
        _ => return None,
    };
    let length = u32::try_from(payload + 7).ok().filter(|length| *length < 1 << 13)?;
    Some([
        0xff,
        0xf1,
        // Low complexity.
        (1 << 6 | rate << 2 | channels >> 2) as u8,
        ((channels & 3) << 6 | length >> 11) as u8,
        (length >> 3) as u8,
        ((length & 7) << 5 | 0x1f) as u8,
        0xfc,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_silence_fill_a_gap_without_drifting() {
        let (rate, timebase) = (Timebase::new(1, 44_100).unwrap(), Timebase::new(1, 90_000).unwrap());
        let silence = Silence { frame: vec![0], samples: 1_024, rate, timebase };
        let hour = 3_600 * 90_000;
        let frames = silence.frames(7, 7 + hour);
        assert_eq!(frames, 155_039);
        let last = silence.frame(7, frames - 1);
        let end = last.pts().unwrap() + last.duration();
        assert!((end - 7 - hour).abs() <= 1_045, "{end}");
    }
}
