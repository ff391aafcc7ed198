//! What a clip's file is laid out for: its tracks, their codec configuration, and room for its index.

use super::method::{Chosen, Method};
use crate::{
    ClipTask, Error,
    audio::Order,
    cut::SmartStyle,
    ffmpeg::{Encoder, OutputStream, audio_frame, extradata},
    nal::ParameterSets,
    source::{SpanReader, frame_nanos},
    time::{NANOS, Timebase},
};

/// What an earlier attempt at a clip found out that has to be known from the start.
#[derive(Default)]
pub(crate) struct Known {
    /// How large the index becomes.
    pub(crate) index_bytes: Option<u64>,
    /// Parameter sets that the header must name besides those of the first span.
    pub(crate) sets: Option<ParameterSets>,
    /// Whether two sets of one name are in the file, so that none can be named in the header.
    pub(crate) in_band: bool,
}

impl Known {
    /// Adds `sets` to those that a header with `header` must name; false if it names them all by now.
    pub(crate) fn learn(&mut self, header: &ParameterSets, sets: &ParameterSets) -> bool {
        if self.in_band || header.contains(sets) {
            return false;
        }
        self.in_band = header.conflicts_with(sets);
        self.sets = Some(self.sets.as_ref().map_or_else(|| sets.clone(), |known| known.with(sets)));
        true
    }
}

/// A track of the file.
pub(super) struct TrackLayout {
    pub(super) codec: String,
    /// Seconds in a tick of the packets that are written.
    pub(super) timebase: Timebase,
    pub(super) order: Order,
    pub(super) packets: u64,
    configuration: Vec<u8>,
}

impl TrackLayout {
    pub(super) fn of(reader: &SpanReader, track: usize) -> Self {
        let stream = reader.stream(track);
        Self {
            codec: stream.info.codec.clone(),
            timebase: stream.timebase,
            order: Order::default(),
            packets: 0,
            configuration: extradata(&stream.parameters).to_vec(),
        }
    }

    /// Whether packets of `other` can go on where this one's end.
    pub(super) fn fits(&self, other: &Self) -> bool {
        (&self.codec, &self.configuration) == (&other.codec, &other.configuration)
    }

    /// Bytes of codec configuration in the header.
    pub(super) fn configuration_bytes(&self) -> u64 {
        self.configuration.len() as u64
    }
}

/// The parameter sets that the header names.
pub(super) fn header_sets(chosen: &Chosen, known: &Known) -> Option<ParameterSets> {
    let own = match (&chosen.method, chosen.black.as_ref().and_then(|black| black.style.as_ref())) {
        (Method::Smart(style), _) => style.sets(),
        (Method::Copy(_), Some(style)) => style.sets(),
        (Method::Copy(reframe), None) => reframe.as_ref()?.sets().clone(),
        (Method::Encode(_), _) => return None,
    };
    Some(match known.sets.as_ref().filter(|_| !known.in_band) {
        Some(sets) => own.with(sets),
        None => own,
    })
}

/// The tracks of the file.
///
/// # Errors
/// `Unsupported` if the video can't be encoded as chosen.
pub(super) fn output_streams(
    reader: &SpanReader,
    chosen: &Chosen,
    sets: Option<&ParameterSets>,
    known: &Known,
) -> Result<Vec<OutputStream>, Error> {
    let tracks = 0..reader.tracks().len();
    tracks
        .map(|track| {
            let stream = reader.stream(track);
            let is_video = Some(track) == reader.video();
            let (parameters, configuration) = match &chosen.method {
                Method::Encode(encode) if is_video => {
                    (Encoder::open(&encode.shape, &encode.settings)?.parameters(), None)
                }
                _ if is_video => {
                    let is_stream = chosen.method.reframe().is_some_and(|reframe| reframe.is_stream());
                    let like = if is_stream { &[][..] } else { extradata(&stream.parameters) };
                    (stream.parameters.clone(), sets.map(|sets| sets.extradata(like)))
                }
                _ => (stream.parameters.clone(), None),
            };
            Ok(OutputStream {
                parameters,
                extradata: configuration,
                timebase: stream.timebase,
                frame_rate: stream.info.frame_rate,
                labels: stream.labels.clone(),
                in_band: is_video && known.in_band,
            })
        })
        .collect()
}

/// Room to keep for the index: what a clip of this length usually needs, with some to spare.
pub(super) fn index_estimate(task: &ClipTask, reader: &SpanReader) -> u64 {
    let length = u64::try_from(task.range.duration().as_nanos()).unwrap_or(u64::MAX);
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

/// An upper bound of the index for `samples`: sizes, times, offsets and chunks of each (ISO/IEC 14496-12 §8.6, §8.7).
pub(super) fn index_bound(task: &ClipTask, samples: u64, configuration_bytes: u64) -> u64 {
    let metadata: usize = task.metadata.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
    8_192 + samples * 44 + 4 * configuration_bytes + metadata as u64
}

/// The sets that a span's packets call upon, its encoded ones included.
pub(super) fn span_sets(method: &Method) -> Option<ParameterSets> {
    match method {
        Method::Copy(reframe) => reframe.as_ref().map(|reframe| reframe.sets().clone()),
        Method::Smart(style) => Some(style.sets()),
        Method::Encode(encode) => encode.style.as_ref().map(SmartStyle::sets),
    }
}
