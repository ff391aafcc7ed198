//! The JSON lines that the client prints where nobody watches. Field names are part of the command's interface: they may be
//! added to, not changed. Times are RFC 3339, lengths milliseconds, sizes bytes; what isn't known yet is absent.

mod library;

use protocol::{
    export::v1::{Export, ExportPlan, ExportedFile, GetThumbnailResponse},
    job::v1::{JobFailure, JobPhase, JobState},
};
use serde::Serialize;

use library::GapLine;
pub(crate) use library::{CoverageLine, SourceLine};

use crate::units::{instant, millis};

/// A line.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Line {
    /// An export as it is now.
    Export(Box<ExportLine>),
    /// What an export would do.
    Plan(PlanLine),
    /// How far a download is; the last one has `sha256`.
    Download(DownloadLine),
    /// A picture that was fetched.
    Thumbnail(ThumbnailLine),
    /// A recording.
    Source(SourceLine),
    /// What of a recording there is, or a page of it.
    Coverage(CoverageLine),
    /// An export was erased.
    Deleted {
        /// Which.
        id: String,
    },
}

/// An export as it is now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) struct ExportLine {
    id: String,
    uid: String,
    /// QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED.
    state: String,
    /// PREPARE, RENDER, FINALIZE, VERIFY or PUBLISH.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<String>,
    /// 0 to 1.
    fraction: f64,
    media_done_ms: i64,
    media_total_ms: i64,
    written_bytes: i64,
    /// Media time per wall time.
    speed: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_ms: Option<i64>,
    queue_position: i32,
    attempts: i32,
    max_attempts: i32,
    revision: i64,
    cancel_requested: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureLine>,
    /// Of the last attempt, while another is to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<FailureLine>,
    /// The first of `files`.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileLine>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<PlanLine>,
}

#[derive(Debug, Serialize)]
struct FailureLine {
    reason: String,
    message: String,
}

#[derive(Debug, Serialize)]
struct FileLine {
    name: String,
    url: String,
    size_bytes: i64,
    sha256: String,
    media_type: String,
    actual_mark_in: Option<String>,
    actual_mark_out: Option<String>,
    duration_ms: i64,
}

/// What an export does, or did.
#[derive(Debug, Serialize)]
pub(crate) struct PlanLine {
    requested_mark_in: Option<String>,
    requested_mark_out: Option<String>,
    actual_mark_in: Option<String>,
    actual_mark_out: Option<String>,
    duration_ms: i64,
    size_bytes: i64,
    frames: i64,
    encoded_frames: i64,
    hidden_lead_in_ms: i64,
    gaps: Vec<GapLine>,
    tracks: Vec<TrackLine>,
    warnings: Vec<String>,
    files: Vec<PlannedFileLine>,
}

/// What of the range is in which file.
#[derive(Debug, Serialize)]
struct PlannedFileLine {
    name: String,
    actual_mark_in: Option<String>,
    actual_mark_out: Option<String>,
    duration_ms: i64,
    frames: i64,
}

#[derive(Debug, Serialize)]
struct TrackLine {
    kind: String,
    codec: String,
    language: String,
    /// COPIED, SMART_CUT, ENCODED or DROPPED.
    fate: String,
    reason: String,
    /// Its codec in the result; empty if it was dropped.
    result_codec: String,
    title: String,
    dispositions: Vec<String>,
}

/// How far a download is.
#[derive(Debug, Serialize)]
pub(crate) struct DownloadLine {
    /// The export's id.
    pub(crate) id: String,
    /// Where it is written.
    pub(crate) path: String,
    /// Bytes there so far, those of an earlier run included.
    pub(crate) done_bytes: u64,
    /// Bytes in all.
    pub(crate) size_bytes: u64,
    /// Of the whole file, once it is whole and verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A picture that was fetched.
#[derive(Debug, Serialize)]
pub(crate) struct ThumbnailLine {
    path: String,
    width: i32,
    height: i32,
    frame_time: Option<String>,
    size_bytes: usize,
}

impl ThumbnailLine {
    /// The picture that is now at `path`.
    pub(crate) fn new(path: String, thumbnail: &GetThumbnailResponse) -> Self {
        Self {
            path,
            width: thumbnail.width,
            height: thumbnail.height,
            frame_time: thumbnail.frame_time.as_ref().map(instant),
            size_bytes: thumbnail.image.len(),
        }
    }
}

impl From<&Export> for ExportLine {
    fn from(export: &Export) -> Self {
        let status = export.status.clone().unwrap_or_default();
        let progress = status.progress.unwrap_or_default();
        Self {
            id: export.id.clone(),
            uid: export.spec.as_ref().map(|spec| spec.uid.clone()).unwrap_or_default(),
            state: state(status.state()).to_owned(),
            phase: phase(progress.phase()).map(str::to_owned),
            fraction: rounded(progress.fraction),
            media_done_ms: progress.media_done.as_ref().map_or(0, millis),
            media_total_ms: progress.media_total.as_ref().map_or(0, millis),
            written_bytes: progress.written_bytes,
            speed: rounded(progress.speed),
            remaining_ms: progress.remaining.as_ref().map(millis),
            queue_position: status.queue_position,
            attempts: status.attempts,
            max_attempts: status.max_attempts,
            revision: status.revision,
            cancel_requested: status.cancel_requested,
            create_time: status.create_time.as_ref().map(instant),
            start_time: status.start_time.as_ref().map(instant),
            end_time: status.end_time.as_ref().map(instant),
            expire_time: status.expire_time.as_ref().map(instant),
            failure: status.failure.map(FailureLine::from),
            last_failure: status.last_failure.map(FailureLine::from),
            file: export.file.as_ref().map(FileLine::from),
            files: export.files.iter().map(FileLine::from).collect(),
            result: export.result.as_ref().map(PlanLine::from),
        }
    }
}

impl From<JobFailure> for FailureLine {
    fn from(failure: JobFailure) -> Self {
        Self { reason: failure.reason, message: failure.message }
    }
}

impl From<&ExportedFile> for FileLine {
    fn from(file: &ExportedFile) -> Self {
        let file = file.clone();
        Self {
            name: file.name,
            url: file.url,
            size_bytes: file.size_bytes,
            sha256: file.sha256,
            media_type: file.media_type,
            actual_mark_in: file.actual_mark_in.as_ref().map(instant),
            actual_mark_out: file.actual_mark_out.as_ref().map(instant),
            duration_ms: file.duration.as_ref().map_or(0, millis),
        }
    }
}

impl From<&ExportPlan> for PlanLine {
    fn from(plan: &ExportPlan) -> Self {
        let gaps = plan.gaps.iter().map(|gap| GapLine::new(&gap.start_time, &gap.duration, gap.reason(), &gap.detail));
        let files = plan.files.iter().map(|file| PlannedFileLine {
            name: file.name.clone(),
            actual_mark_in: file.actual_mark_in.as_ref().map(instant),
            actual_mark_out: file.actual_mark_out.as_ref().map(instant),
            duration_ms: file.duration.as_ref().map_or(0, millis),
            frames: file.frames,
        });
        let tracks = plan.tracks.iter().map(|track| TrackLine {
            kind: track.kind.clone(),
            codec: track.codec.clone(),
            language: track.language.clone(),
            fate: track.fate().as_str_name().trim_start_matches("TRACK_FATE_").to_owned(),
            reason: track.reason.clone(),
            result_codec: track.result_codec.clone(),
            title: track.title.clone(),
            dispositions: track.dispositions.clone(),
        });
        Self {
            requested_mark_in: plan.requested_mark_in.as_ref().map(instant),
            requested_mark_out: plan.requested_mark_out.as_ref().map(instant),
            actual_mark_in: plan.actual_mark_in.as_ref().map(instant),
            actual_mark_out: plan.actual_mark_out.as_ref().map(instant),
            duration_ms: plan.duration.as_ref().map_or(0, millis),
            size_bytes: plan.size_bytes,
            frames: plan.frames,
            encoded_frames: plan.encoded_frames,
            hidden_lead_in_ms: plan.hidden_lead_in.as_ref().map_or(0, millis),
            gaps: gaps.collect(),
            tracks: tracks.collect(),
            warnings: plan.warnings.clone(),
            files: files.collect(),
        }
    }
}

/// To four decimals: the rest is noise.
fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// A state's name without its prefix.
pub(crate) fn state(state: JobState) -> &'static str {
    state.as_str_name().trim_start_matches("JOB_STATE_")
}

/// A phase's name without its prefix; none if there is none.
pub(crate) fn phase(phase: JobPhase) -> Option<&'static str> {
    (phase != JobPhase::Unspecified).then(|| phase.as_str_name().trim_start_matches("JOB_PHASE_"))
}

#[cfg(test)]
mod tests {
    use protocol::job::v1::{JobProgress, JobStatus};

    use super::*;

    #[test]
    fn an_export_is_one_line_with_these_names() {
        let progress = JobProgress { phase: JobPhase::Render.into(), fraction: 0.500_01, ..Default::default() };
        let status =
            JobStatus { state: JobState::Running.into(), progress: Some(progress), revision: 7, ..Default::default() };
        let export = Export { id: "e1".into(), status: Some(status), ..Default::default() };
        let line = serde_json::to_string(&Line::Export(Box::new((&export).into()))).unwrap();
        assert_eq!(
            line,
            "{\"type\":\"export\",\"id\":\"e1\",\"uid\":\"\",\"state\":\"RUNNING\",\"phase\":\"RENDER\",\"fraction\":0.5,\
             \"media_done_ms\":0,\"media_total_ms\":0,\"written_bytes\":0,\"speed\":0.0,\"queue_position\":0,\"attempts\":0,\
             \"max_attempts\":0,\"revision\":7,\"cancel_requested\":false}"
        );
    }
}
