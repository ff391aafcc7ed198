//! Domain to wire.

use std::time::SystemTime;

use errors::Error;
use jobs::{Job, Phase, State};
use media::{
    ClipReport, Compatibility, Container, Cut, Damage, Fallback, TrackFate, TrackKind, TrackReport, VideoTarget,
    time::{NANOS, WallTime},
};
use prost_types::Timestamp;
use protocol::{export::v1 as proto, job::v1 as job_proto, recording::v1 as recording_proto};
use server::{
    BaseUrl, FileUrls,
    clips::{Gap, GapCause, GapPolicy, MadeFile},
};

use crate::{
    export::{ExportOutcome, ExportSpec, media_type},
    exports::{Plan, outcome, spec},
    files::export_path,
};

/// An export as callers see it.
pub(crate) fn export(job: &Job, urls: &FileUrls, base: &BaseUrl) -> Result<proto::Export, Error> {
    let spec: ExportSpec = spec(job)?;
    let outcome: Option<ExportOutcome> = outcome(job)?;
    let made = outcome.as_ref().map_or(&[][..], |outcome| &outcome.files);
    let url = |file: &MadeFile| urls.url(base, &export_path(&job.id, &file.name));
    let files: Vec<_> = made.iter().map(|file| exported_file(file, url(file), spec.container)).collect();
    let result = outcome.map(|outcome| {
        let files = outcome.files.into_iter().map(|file| (file.name, file.report)).collect();
        plan(Plan { requested: outcome.requested, gaps: outcome.gaps, files })
    });
    Ok(proto::Export {
        id: job.id.to_string(),
        spec: Some(wire_spec(spec)),
        status: Some(job_status(job)),
        result,
        file: files.first().cloned(),
        files,
    })
}

fn exported_file(file: &MadeFile, url: String, container: Container) -> proto::ExportedFile {
    let report = &file.report;
    proto::ExportedFile {
        name: file.name.clone(),
        url,
        size_bytes: size(report.size_bytes),
        sha256: report.sha256.clone(),
        media_type: media_type(container).to_owned(),
        actual_mark_in: Some(timestamp(report.actual.start)),
        actual_mark_out: Some(timestamp(report.actual.end)),
        duration: Some(span(report.duration)),
    }
}

pub(super) fn wire_spec(spec: ExportSpec) -> proto::ExportSpec {
    let cut = match spec.cut {
        Cut::Exact => proto::Cut::Exact,
        Cut::EditList => proto::Cut::EditList,
        Cut::Keyframe => proto::Cut::Keyframe,
    };
    let container = match spec.container {
        Container::Ts => proto::Container::Ts,
        Container::Mov => proto::Container::Mov,
        Container::Mp4 => proto::Container::Mp4,
    };
    let video_codec = match spec.video {
        VideoTarget::Keep => proto::VideoCodec::Keep,
        VideoTarget::H264 => proto::VideoCodec::H264,
        VideoTarget::H265 => proto::VideoCodec::H265,
    };
    let policies = spec.policies;
    let gap_policy = match policies.gap_policy {
        GapPolicy::Skip => proto::GapPolicy::Skip,
        GapPolicy::Fill => proto::GapPolicy::Fill,
        GapPolicy::Split => proto::GapPolicy::Split,
        GapPolicy::Fail => proto::GapPolicy::Fail,
    };
    let damage_policy = match policies.damage {
        Damage::Lenient => proto::DamagePolicy::Lenient,
        Damage::Strict => proto::DamagePolicy::Strict,
    };
    let compatibility = match policies.compatibility {
        Compatibility::Keep => proto::Compatibility::Keep,
        Compatibility::Broadest => proto::Compatibility::Broadest,
    };
    let fallback = match policies.fallback {
        Fallback::Encode => proto::Fallback::Encode,
        Fallback::Keyframe => proto::Fallback::Keyframe,
        Fallback::Fail => proto::Fallback::Fail,
    };
    let story = spec.story.map(|story| proto::Story { id: story.id, name: story.name, slug_info: story.slug_info });
    proto::ExportSpec {
        uid: spec.position.uid,
        start_time: spec.position.start.map(timestamp),
        mark: Some(span(spec.position.mark)),
        duration: Some(span(spec.duration)),
        cut: cut.into(),
        container: container.into(),
        video_codec: video_codec.into(),
        file_name: spec.file_name,
        story,
        gap_policy: gap_policy.into(),
        damage_policy: damage_policy.into(),
        compatibility: compatibility.into(),
        fallback: fallback.into(),
        rendition: policies.rendition.unwrap_or_default(),
    }
}

/// A plan, or a result.
pub(crate) fn plan(plan: Plan) -> proto::ExportPlan {
    let Plan { requested, gaps, files } = plan;
    let reports = || files.iter().map(|(_, report)| report);
    let sum = |part: fn(&ClipReport) -> u64| size(reports().map(part).fold(0, u64::saturating_add));
    proto::ExportPlan {
        requested_mark_in: Some(timestamp(requested.start)),
        requested_mark_out: Some(timestamp(requested.end)),
        actual_mark_in: reports().next().map(|first| timestamp(first.actual.start)),
        actual_mark_out: reports().next_back().map(|last| timestamp(last.actual.end)),
        gaps: gaps.into_iter().map(gap).collect(),
        tracks: tracks(reports()).into_iter().map(track).collect(),
        size_bytes: sum(|report| report.size_bytes),
        duration: Some(span(reports().map(|report| report.duration).fold(0, i64::saturating_add))),
        encoded_frames: sum(|report| report.encoded_frames),
        frames: sum(|report| report.frames),
        // Only the first file begins where a caller said; but each may have a lead-in, and the longest is what matters.
        hidden_lead_in: reports().map(|report| report.hidden_lead_in).max().map(span),
        warnings: warnings(reports()),
        files: files.iter().map(|(name, report)| planned_file(name, report)).collect(),
    }
}

fn planned_file(name: &str, report: &ClipReport) -> proto::PlannedFile {
    proto::PlannedFile {
        name: name.to_owned(),
        actual_mark_in: Some(timestamp(report.actual.start)),
        actual_mark_out: Some(timestamp(report.actual.end)),
        duration: Some(span(report.duration)),
        frames: size(report.frames),
    }
}

fn gap(gap: Gap) -> proto::Gap {
    let (start_time, duration) = (Some(timestamp(gap.range.start)), Some(span(gap.length())));
    let (reason, detail) = gap_reason(gap.cause);
    proto::Gap { start_time, duration, reason: reason.into(), detail }
}

/// Why a gap is one, and what exactly.
pub(super) fn gap_reason(cause: GapCause) -> (recording_proto::GapReason, String) {
    use recording_proto::GapReason as R;
    match cause {
        GapCause::NotRecorded => (R::NotRecorded, String::new()),
        GapCause::Declared => (R::NotRecorded, "the manifest says so".to_owned()),
        GapCause::Outside => (R::Outside, String::new()),
        GapCause::Damaged(what) => (R::Damaged, what),
    }
}

/// Each warning once: files of one recording often share theirs.
fn warnings<'a>(reports: impl Iterator<Item = &'a ClipReport>) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    for warning in reports.flat_map(|report| &report.warnings) {
        if !warnings.contains(warning) {
            warnings.push(warning.clone());
        }
    }
    warnings
}

/// The tracks of all files. One that is in several is told once, by the most that was done to it in any.
fn tracks<'a>(reports: impl Iterator<Item = &'a ClipReport>) -> Vec<TrackReport> {
    let mut all: Vec<TrackReport> = Vec::new();
    for report in reports {
        for (index, next) in report.tracks.iter().enumerate() {
            let is_told = all.contains(next);
            match all.get_mut(index).filter(|known| known.track == next.track) {
                Some(known) if severity(known.fate) < severity(next.fate) => *known = next.clone(),
                None if !is_told => all.push(next.clone()),
                Some(_) | None => {}
            }
        }
    }
    all
}

fn severity(fate: TrackFate) -> u8 {
    match fate {
        TrackFate::Copied => 0,
        TrackFate::SmartCut => 1,
        TrackFate::Encoded => 2,
        TrackFate::Dropped => 3,
    }
}

fn track(report: TrackReport) -> proto::Track {
    let fate = match report.fate {
        TrackFate::Copied => proto::TrackFate::Copied,
        TrackFate::SmartCut => proto::TrackFate::SmartCut,
        TrackFate::Encoded => proto::TrackFate::Encoded,
        TrackFate::Dropped => proto::TrackFate::Dropped,
    };
    let kind = match report.track.kind {
        TrackKind::Video => "video",
        TrackKind::Audio => "audio",
        TrackKind::Subtitle => "subtitle",
        TrackKind::Data => "data",
    };
    proto::Track {
        kind: kind.to_owned(),
        codec: report.track.codec,
        language: report.track.language.unwrap_or_default(),
        fate: fate.into(),
        reason: report.reason,
        result_codec: report.codec,
        title: report.track.title.unwrap_or_default(),
        dispositions: report.track.dispositions,
    }
}

fn job_status(job: &Job) -> job_proto::JobStatus {
    use job_proto::JobState as S;
    let state = match job.state {
        State::Queued => S::Queued,
        State::Running => S::Running,
        State::Succeeded => S::Succeeded,
        State::Failed => S::Failed,
        State::Cancelled => S::Cancelled,
    };
    let failure = |failure: &jobs::Failure| job_proto::JobFailure {
        reason: failure.reason.clone(),
        message: failure.message.clone(),
    };
    let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    job_proto::JobStatus {
        state: state.into(),
        progress: Some(progress(&job.progress)),
        failure: job.failure.as_ref().map(failure),
        attempts: count(job.attempts),
        max_attempts: count(job.max_attempts),
        revision: job.revision,
        create_time: Some(job.created.into()),
        start_time: job.started.map(Timestamp::from),
        end_time: job.ended.map(Timestamp::from),
        expire_time: job.expires.map(SystemTime::into),
        cancel_requested: job.cancel_requested,
        queue_position: count(job.queue_position),
        last_failure: job.last_failure.as_ref().map(failure),
    }
}

fn progress(progress: &jobs::Progress) -> job_proto::JobProgress {
    use job_proto::JobPhase as P;
    let phase = match progress.phase {
        Phase::Idle => P::Unspecified,
        Phase::Prepare => P::Prepare,
        Phase::Render => P::Render,
        Phase::Finalize => P::Finalize,
        Phase::Verify => P::Verify,
        Phase::Publish => P::Publish,
    };
    job_proto::JobProgress {
        phase: phase.into(),
        fraction: progress.fraction,
        media_done: progress.media_done.try_into().ok(),
        media_total: progress.media_total.try_into().ok(),
        written_bytes: size(progress.written_bytes),
        speed: progress.speed,
        remaining: progress.remaining.and_then(|remaining| remaining.try_into().ok()),
    }
}

/// An instant on the wire.
pub(crate) fn timestamp(instant: WallTime) -> Timestamp {
    let nanos = instant.nanos();
    Timestamp { seconds: nanos.div_euclid(NANOS), nanos: nanos.rem_euclid(NANOS) as i32 }
}

pub(super) fn span(nanos: i64) -> prost_types::Duration {
    prost_types::Duration { seconds: nanos / NANOS, nanos: (nanos % NANOS) as i32 }
}

fn size(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
