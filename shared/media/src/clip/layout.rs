//! What a clip's file is laid out for: the codec configuration of its video, and room for its index.

use super::method::{Chosen, Method};
use crate::{
    ClipTask,
    cut::{Reframe, SmartStyle},
    ffmpeg::{Stream, audio_frame, extradata},
    nal::ParameterSets,
    source::{SpanReader, frame_nanos},
    time::NANOS,
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

/// Codec configuration that names `sets`, for the video `stream` that is copied.
pub(super) fn configuration(stream: &Stream, method: &Method, sets: Option<&ParameterSets>) -> Option<Vec<u8>> {
    let is_stream = method.reframe().is_some_and(Reframe::is_stream);
    let like = if is_stream { &[][..] } else { extradata(&stream.parameters) };
    sets.map(|sets| sets.extradata(like))
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
