//! Wire to domain. All validation of requests is here, and all violations are told at once.

mod reply;
mod sources;

use std::time::Duration;

use errors::{Error, Violation};
use jobs::State;
use media::{
    Compatibility, Container, Cut, Damage, Fallback, VideoTarget,
    time::{NANOS, WallTime},
};
use prost_types::Timestamp;
use protocol::{export::v1 as proto, job::v1 as job_proto};
use server::clips::GapPolicy;

pub(crate) use reply::{export, plan, timestamp};
pub(crate) use sources::{coverage, coverage_query, sources};

use crate::export::{ExportSpec, MAX_MARK, Policies, Position, Story, decode_slug};

const MAX_RENDITION_BYTES: usize = 256;
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
    let policies = policies(&spec, &mut violations);
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
    let file_name =
        file_name("spec.file_name", &spec.file_name, &position, container, policies.gap_policy, &mut violations);
    let story = spec.story.map(|story| Story { id: story.id, name: story.name, slug_info: story.slug_info });
    let story = story.and_then(|story| check_story("spec.story", story, &mut violations));
    violations.check(ExportSpec { position, duration, cut, container, video, file_name, story, policies })
}

fn policies(spec: &proto::ExportSpec, violations: &mut Violations) -> Policies {
    let gap_policy = match proto::GapPolicy::try_from(spec.gap_policy) {
        Ok(proto::GapPolicy::Unspecified | proto::GapPolicy::Skip) => GapPolicy::Skip,
        Ok(proto::GapPolicy::Fill) => GapPolicy::Fill,
        Ok(proto::GapPolicy::Split) => GapPolicy::Split,
        Ok(proto::GapPolicy::Fail) => GapPolicy::Fail,
        Err(_) => unknown("spec.gap_policy", spec.gap_policy, GapPolicy::Skip, violations),
    };
    let damage = match proto::DamagePolicy::try_from(spec.damage_policy) {
        Ok(proto::DamagePolicy::Unspecified | proto::DamagePolicy::Lenient) => Damage::Lenient,
        Ok(proto::DamagePolicy::Strict) => Damage::Strict,
        Err(_) => unknown("spec.damage_policy", spec.damage_policy, Damage::Lenient, violations),
    };
    let compatibility = match proto::Compatibility::try_from(spec.compatibility) {
        Ok(proto::Compatibility::Unspecified | proto::Compatibility::Keep) => Compatibility::Keep,
        Ok(proto::Compatibility::Broadest) => Compatibility::Broadest,
        Err(_) => unknown("spec.compatibility", spec.compatibility, Compatibility::Keep, violations),
    };
    let fallback = match proto::Fallback::try_from(spec.fallback) {
        Ok(proto::Fallback::Unspecified | proto::Fallback::Encode) => Fallback::Encode,
        Ok(proto::Fallback::Keyframe) => Fallback::Keyframe,
        Ok(proto::Fallback::Fail) => Fallback::Fail,
        Err(_) => unknown("spec.fallback", spec.fallback, Fallback::Encode, violations),
    };
    let rendition = rendition("spec.rendition", &spec.rendition, violations);
    Policies { gap_policy, damage, compatibility, fallback, rendition }
}

/// The name of a rendition, if there is one and it can be one.
pub(crate) fn rendition(field: &str, name: &str, violations: &mut Violations) -> Option<String> {
    if name.len() > MAX_RENDITION_BYTES {
        violations.add(field, format!("{} bytes are more than {MAX_RENDITION_BYTES}", name.len()));
    } else if name.chars().any(char::is_control) {
        violations.add(field, "it contains a control character");
    }
    (!name.is_empty()).then(|| name.to_owned())
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
    let start = check_time(&format!("{prefix}start_time"), start, violations);
    let mark = check_mark(&format!("{prefix}mark"), mark.as_ref().map_or(Some(0), nanos), violations);
    Position { uid, start, mark }
}

/// An instant, if there is one and it can be one.
fn check_time(field: &str, time: Option<Timestamp>, violations: &mut Violations) -> Option<WallTime> {
    let time = time?;
    let wall = wall_time(&time);
    if wall.is_none() {
        violations.add(field, format!("{}.{:09} s is out of range", time.seconds, time.nanos));
    }
    wall
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
    gap_policy: GapPolicy,
    violations: &mut Violations,
) -> String {
    if name.is_empty() {
        return ExportSpec::default_name(position, container);
    }
    let complete = ExportSpec::complete_name(name, container).and_then(|name| match gap_policy {
        GapPolicy::Split => ExportSpec::check_numbered(&name).map(|()| name),
        GapPolicy::Skip | GapPolicy::Fill | GapPolicy::Fail => Ok(name),
    });
    complete.unwrap_or_else(|problem| {
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

#[cfg(test)]
mod tests;
