//! Wire to domain and back. All validation of requests is here, and all violations are told at once.

use std::time::{Duration, SystemTime};

use errors::{Error, Violation};
use jobs::{Job, Phase, State};
use media::{
    ClipReport, Container, Cut, TrackKind, VideoTarget,
    time::{NANOS, TimeRange, WallTime},
};
use prost_types::Timestamp;
use protocol::{export::v1 as proto, job::v1 as job_proto};
use server::{BaseUrl, FileUrls};

use crate::{
    export::{ExportOutcome, ExportSpec, MAX_MARK, Position, Story, decode_slug, media_type},
    exports::{Plan, outcome, spec},
    files::export_path,
};

const MAX_STORY_BYTES: usize = 256;
const MAX_SLUG_BYTES: usize = 16 << 10;
const MAX_REQUEST_ID: usize = 128;

/// Collects violations while a request is read.
#[derive(Default)]
pub(crate) struct Violations(Vec<Violation>);

impl Violations {
    pub(crate) fn add(&mut self, field: &str, description: impl Into<String>) {
        self.0.push(Violation::new(field, description));
    }

    /// `value`, unless there was anything to say against it or another field.
    pub(crate) fn check<T>(self, value: T) -> Result<T, Error> {
        if self.0.is_empty() { Ok(value) } else { Err(Error::Invalid(self.0)) }
    }
}

/// A caller's id for a request, checked; `None` if it is empty.
pub(crate) fn request_id(id: String) -> Result<Option<String>, Error> {
    if id.is_empty() {
        return Ok(None);
    }
    if id.len() > MAX_REQUEST_ID || !id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        let what = format!("it must have at most {MAX_REQUEST_ID} printable ASCII characters");
        return Err(Error::invalid("request_id", what));
    }
    Ok(Some(id))
}

/// A spec, checked; `longest` is how long a clip may be.
pub(crate) fn export_spec(spec: Option<proto::ExportSpec>, longest: Duration) -> Result<ExportSpec, Error> {
    let spec = spec.ok_or_else(|| Error::invalid("spec", "it is missing"))?;
    let mut violations = Violations::default();
    let position = position("spec.", spec.uid, spec.start_time, spec.mark, &mut violations);
    let duration = clip_duration("spec.duration", spec.duration.as_ref().map(nanos), longest, &mut violations);
    let cut = match proto::Cut::try_from(spec.cut) {
        Ok(proto::Cut::Unspecified | proto::Cut::Exact) => Cut::Exact,
        Ok(proto::Cut::EditList) => Cut::EditList,
        Ok(proto::Cut::Keyframe) => Cut::Keyframe,
        Err(_) => unknown("spec.cut", spec.cut, Cut::Exact, &mut violations),
    };
    let container = match proto::Container::try_from(spec.container) {
        Ok(proto::Container::Unspecified | proto::Container::Ts) => Container::Ts,
        Ok(proto::Container::Mov) => Container::Mov,
        Ok(proto::Container::Mp4) => Container::Mp4,
        Err(_) => unknown("spec.container", spec.container, Container::Ts, &mut violations),
    };
    let video = match proto::VideoCodec::try_from(spec.video_codec) {
        Ok(proto::VideoCodec::Unspecified | proto::VideoCodec::Keep) => VideoTarget::Keep,
        Ok(proto::VideoCodec::H264) => VideoTarget::H264,
        Ok(proto::VideoCodec::H265) => VideoTarget::H265,
        Err(_) => unknown("spec.video_codec", spec.video_codec, VideoTarget::Keep, &mut violations),
    };
    if cut == Cut::EditList && container == Container::Ts && video == VideoTarget::Keep {
        violations.add("spec.cut", "a TS has no edit list: choose MOV or MP4, or another cut");
    }
    let file_name = file_name("spec.file_name", &spec.file_name, &position, container, &mut violations);
    let story = spec.story.map(|story| Story { id: story.id, name: story.name, slug_info: story.slug_info });
    let story = story.and_then(|story| check_story("spec.story", story, &mut violations));
    violations.check(ExportSpec { position, duration, cut, container, video, file_name, story })
}

/// Where in which recording.
pub(crate) fn position(
    prefix: &str,
    uid: String,
    start: Option<Timestamp>,
    mark: Option<prost_types::Duration>,
    violations: &mut Violations,
) -> Position {
    if uid.is_empty() {
        violations.add(&format!("{prefix}uid"), "it is missing");
    }
    let start = start.and_then(|start| match wall_time(&start) {
        Some(start) => Some(start),
        None => {
            violations
                .add(&format!("{prefix}start_time"), format!("{}.{:09} s is out of range", start.seconds, start.nanos));
            None
        }
    });
    let mark = check_mark(&format!("{prefix}mark"), mark.as_ref().map_or(Some(0), nanos), violations);
    Position { uid, start, mark }
}

/// A mark in nanoseconds, if it is one.
pub(crate) fn check_mark(field: &str, mark: Option<i64>, violations: &mut Violations) -> i64 {
    match mark {
        Some(mark) if (0..=MAX_MARK).contains(&mark) => mark,
        _ => {
            violations.add(field, "it must be 0 or more, and less than a year");
            0
        }
    }
}

/// The length of a clip in nanoseconds, if it may have it.
pub(crate) fn clip_duration(
    field: &str,
    duration: Option<Option<i64>>,
    longest: Duration,
    violations: &mut Violations,
) -> i64 {
    let most = i64::try_from(longest.as_nanos()).unwrap_or(i64::MAX);
    match duration {
        None => violations.add(field, "it is missing"),
        Some(Some(nanos)) if nanos > 0 && nanos <= most => return nanos,
        Some(Some(nanos)) if nanos > most => {
            violations
                .add(field, format!("{} s is longer than the {} s that a clip may have", nanos / NANOS, most / NANOS));
        }
        Some(_) => violations.add(field, "it must be more than 0"),
    }
    0
}

/// The name of the file, completed or made up.
pub(crate) fn file_name(
    field: &str,
    name: &str,
    position: &Position,
    container: Container,
    violations: &mut Violations,
) -> String {
    if name.is_empty() {
        return ExportSpec::default_name(position, container);
    }
    ExportSpec::complete_name(name, container).unwrap_or_else(|problem| {
        violations.add(field, problem);
        String::new()
    })
}

/// A story with something in it.
pub(crate) fn check_story(field: &str, story: Story, violations: &mut Violations) -> Option<Story> {
    for (name, text, longest) in [
        ("id", &story.id, MAX_STORY_BYTES),
        ("name", &story.name, MAX_STORY_BYTES),
        ("slug_info", &story.slug_info, MAX_SLUG_BYTES),
    ] {
        if text.len() > longest {
            violations.add(&format!("{field}.{name}"), format!("{} bytes are more than {longest}", text.len()));
        } else if text.chars().any(char::is_control) && name != "slug_info" {
            violations.add(&format!("{field}.{name}"), "it contains a control character");
        }
    }
    if !story.slug_info.is_empty()
        && let Err(problem) = decode_slug(&story.slug_info)
    {
        violations.add(&format!("{field}.slug_info"), problem);
    }
    (story != Story::default()).then_some(story)
}

fn unknown<T>(field: &str, value: i32, default: T, violations: &mut Violations) -> T {
    violations.add(field, format!("{value} is not one of its values"));
    default
}

/// A state to list by; `None` for all.
pub(crate) fn state_filter(state: i32) -> Result<Option<State>, Error> {
    use job_proto::JobState as S;
    match S::try_from(state) {
        Ok(S::Unspecified) => Ok(None),
        Ok(S::Queued) => Ok(Some(State::Queued)),
        Ok(S::Running) => Ok(Some(State::Running)),
        Ok(S::Succeeded) => Ok(Some(State::Succeeded)),
        Ok(S::Failed) => Ok(Some(State::Failed)),
        Ok(S::Cancelled) => Ok(Some(State::Cancelled)),
        Err(_) => Err(Error::invalid("state", format!("{state} is not one of its values"))),
    }
}

/// An export as callers see it.
pub(crate) fn export(job: &Job, urls: &FileUrls, base: &BaseUrl) -> Result<proto::Export, Error> {
    let spec: ExportSpec = spec(job)?;
    let outcome: Option<ExportOutcome> = outcome(job)?;
    let file = outcome.as_ref().map(|outcome| proto::ExportedFile {
        name: spec.file_name.clone(),
        url: urls.url(base, &export_path(&job.id, &spec.file_name)),
        size_bytes: size(outcome.report.size_bytes),
        sha256: outcome.report.sha256.clone(),
        media_type: media_type(spec.container).to_owned(),
    });
    let result =
        outcome.map(|outcome| Plan { report: outcome.report, requested: outcome.requested, gaps: outcome.gaps });
    Ok(proto::Export {
        id: job.id.to_string(),
        spec: Some(wire_spec(spec)),
        status: Some(job_status(job)),
        result: result.map(plan),
        file,
    })
}

fn wire_spec(spec: ExportSpec) -> proto::ExportSpec {
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
    }
}

/// A plan, or a result.
pub(crate) fn plan(plan: Plan) -> proto::ExportPlan {
    let Plan { report, requested, gaps } = plan;
    let gap = |gap: TimeRange| proto::Gap {
        start_time: Some(timestamp(gap.start)),
        duration: Some(span(gap.end.nanos_since(gap.start))),
    };
    let ClipReport { actual, .. } = report;
    proto::ExportPlan {
        requested_mark_in: Some(timestamp(requested.start)),
        requested_mark_out: Some(timestamp(requested.end)),
        actual_mark_in: Some(timestamp(actual.start)),
        actual_mark_out: Some(timestamp(actual.end)),
        gaps: gaps.into_iter().map(gap).collect(),
        tracks: report.tracks.into_iter().map(track).collect(),
        size_bytes: size(report.size_bytes),
        duration: Some(span(report.duration)),
        encoded_frames: size(report.encoded_frames),
        frames: size(report.frames),
        hidden_lead_in: Some(span(report.hidden_lead_in)),
        warnings: report.warnings,
    }
}

fn track(report: media::TrackReport) -> proto::Track {
    let fate = match report.fate {
        media::TrackFate::Copied => proto::TrackFate::Copied,
        media::TrackFate::SmartCut => proto::TrackFate::SmartCut,
        media::TrackFate::Encoded => proto::TrackFate::Encoded,
        media::TrackFate::Dropped => proto::TrackFate::Dropped,
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

/// Nanoseconds of a duration; `None` if it is malformed or out of range.
pub(crate) fn nanos(duration: &prost_types::Duration) -> Option<i64> {
    let is_normal = duration.nanos.unsigned_abs() < NANOS as u32;
    let agrees = duration.seconds == 0 || duration.nanos == 0 || (duration.seconds < 0) == (duration.nanos < 0);
    if !is_normal || !agrees {
        return None;
    }
    duration.seconds.checked_mul(NANOS)?.checked_add(duration.nanos.into())
}

fn wall_time(timestamp: &Timestamp) -> Option<WallTime> {
    if !(0..NANOS as i32).contains(&timestamp.nanos) {
        return None;
    }
    let nanos = timestamp.seconds.checked_mul(NANOS)?.checked_add(timestamp.nanos.into())?;
    Some(WallTime::from_nanos(nanos))
}

/// An instant on the wire.
pub(crate) fn timestamp(instant: WallTime) -> Timestamp {
    let nanos = instant.nanos();
    Timestamp { seconds: nanos.div_euclid(NANOS), nanos: nanos.rem_euclid(NANOS) as i32 }
}

fn span(nanos: i64) -> prost_types::Duration {
    prost_types::Duration { seconds: nanos / NANOS, nanos: (nanos % NANOS) as i32 }
}

fn size(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire() -> proto::ExportSpec {
        proto::ExportSpec {
            uid: "a/stream.mpd".into(),
            duration: Some(prost_types::Duration { seconds: 5, nanos: 0 }),
            ..proto::ExportSpec::default()
        }
    }

    fn fields(spec: proto::ExportSpec) -> Vec<String> {
        match export_spec(Some(spec), Duration::from_secs(86_400)) {
            Ok(_) => Vec::new(),
            Err(Error::Invalid(violations)) => violations.into_iter().map(|violation| violation.field).collect(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn defaults() {
        let spec = export_spec(Some(wire()), Duration::from_secs(86_400)).unwrap();
        assert_eq!((spec.cut, spec.container, spec.video), (Cut::Exact, Container::Ts, VideoTarget::Keep));
        assert_eq!(spec.file_name, "clip_a_stream_0.ts");
        assert_eq!(export_spec(Some(wire_spec(spec.clone())), Duration::from_secs(86_400)).unwrap(), spec);
    }

    #[test]
    fn all_violations_are_told_at_once() {
        let seconds = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
        let bad = proto::ExportSpec {
            uid: String::new(),
            mark: seconds(-1, 0),
            duration: seconds(0, 0),
            cut: 9,
            container: -1,
            video_codec: 77,
            file_name: "../x".into(),
            story: Some(proto::Story { slug_info: "%".into(), id: "\n".into(), ..proto::Story::default() }),
            start_time: Some(Timestamp { seconds: i64::MAX, nanos: 0 }),
        };
        let expected = [
            "spec.uid",
            "spec.start_time",
            "spec.mark",
            "spec.duration",
            "spec.cut",
            "spec.container",
            "spec.video_codec",
            "spec.file_name",
            "spec.story.id",
            "spec.story.slug_info",
        ];
        assert_eq!(fields(bad), expected);
        for duration in [
            None,
            seconds(0, 0),
            seconds(-5, 0),
            seconds(86_401, 0),
            seconds(i64::MAX, 0),
            seconds(1, -1),
            seconds(0, 1_000_000_000),
        ] {
            assert_eq!(fields(proto::ExportSpec { duration, ..wire() }), ["spec.duration"], "{duration:?}");
        }
        assert_eq!(fields(proto::ExportSpec { cut: proto::Cut::EditList.into(), ..wire() }), ["spec.cut"]);
    }

    #[test]
    fn request_ids() {
        assert_eq!(request_id(String::new()).unwrap(), None);
        assert_eq!(request_id("a b-1".into()).unwrap().as_deref(), Some("a b-1"));
        for bad in ["x".repeat(129), "ü".into(), "a\n".into(), "\0".into()] {
            assert!(request_id(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
