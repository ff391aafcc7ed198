//! Lines about recordings.

use prost_types::{Duration, Timestamp};
use protocol::recording::v1::{Coverage, GapReason, Source};
use serde::Serialize;

use crate::units::{instant, millis};

/// A recording.
#[derive(Debug, Serialize)]
pub(crate) struct SourceLine {
    uid: String,
    /// DASH, HLS, FILE or FOLDER.
    layout: String,
}

/// What of a recording there is.
#[derive(Debug, Serialize)]
pub(crate) struct CoverageLine {
    /// The recording's, whatever range was asked for.
    start_time: Option<String>,
    end_time: Option<String>,
    growing: bool,
    clocked: bool,
    spans: Vec<SpanLine>,
    gaps: Vec<GapLine>,
    notices: Vec<String>,
}

#[derive(Debug, Serialize)]
struct SpanLine {
    start_time: Option<String>,
    end_time: Option<String>,
}

/// A stretch of time without media.
#[derive(Debug, Serialize)]
pub(super) struct GapLine {
    start_time: Option<String>,
    duration_ms: i64,
    /// NOT_RECORDED, OUTSIDE or DAMAGED.
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl GapLine {
    pub(super) fn new(start: &Option<Timestamp>, length: &Option<Duration>, reason: GapReason, detail: &str) -> Self {
        Self {
            start_time: start.as_ref().map(instant),
            duration_ms: length.as_ref().map_or(0, millis),
            reason: reason.as_str_name().trim_start_matches("GAP_REASON_").to_owned(),
            detail: detail.to_owned(),
        }
    }
}

impl From<&Source> for SourceLine {
    fn from(source: &Source) -> Self {
        let layout = source.layout().as_str_name().trim_start_matches("LAYOUT_").to_owned();
        Self { uid: source.uid.clone(), layout }
    }
}

impl From<&Coverage> for CoverageLine {
    fn from(coverage: &Coverage) -> Self {
        let time = |time: &Option<Timestamp>| time.as_ref().map(instant);
        let spans = coverage
            .spans
            .iter()
            .map(|span| SpanLine { start_time: time(&span.start_time), end_time: time(&span.end_time) });
        let gaps =
            coverage.gaps.iter().map(|gap| GapLine::new(&gap.start_time, &gap.duration, gap.reason(), &gap.detail));
        Self {
            start_time: time(&coverage.start_time),
            end_time: time(&coverage.end_time),
            growing: coverage.growing,
            clocked: coverage.clocked,
            spans: spans.collect(),
            gaps: gaps.collect(),
            notices: coverage.notices.clone(),
        }
    }
}
