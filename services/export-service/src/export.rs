//! The domain: what can be asked for, and what came of it. Both are kept in the job's row as JSON.

use media::{
    ClipTask, Compatibility, Container, Cut, Damage, Fallback, Input, VideoTarget,
    time::{NANOS, TimeRange, WallTime},
};
use serde::{Deserialize, Serialize};
use server::clips::{Gap, GapPolicy, MAX_FILES, MadeFile, file_names};
use storage::FileName;

/// The kind of job that makes a clip.
pub(crate) const EXPORT: &str = "export";
/// The kind of job that makes a still that can be downloaded.
pub(crate) const STILL: &str = "export_still";

/// The longest that a mark may be: more than any recording lasts.
pub(crate) const MAX_MARK: i64 = 366 * 24 * 3600 * NANOS;

/// Where in a recording something is: its `uid`, the start of the video, and a position counted from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) uid: String,
    /// The recording's own start if absent.
    pub(crate) start: Option<WallTime>,
    /// Nanoseconds from `start`, 0 to [`MAX_MARK`].
    pub(crate) mark: i64,
}

/// A clip that is asked for, checked as far as that can be done without looking at the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportSpec {
    #[serde(flatten)]
    pub(crate) position: Position,
    /// Nanoseconds, more than 0.
    pub(crate) duration: i64,
    pub(crate) cut: Cut,
    pub(crate) container: Container,
    pub(crate) video: VideoTarget,
    /// With its extension.
    pub(crate) file_name: String,
    pub(crate) story: Option<Story>,
    #[serde(flatten)]
    pub(crate) policies: Policies,
}

/// What is to be done where a clip can't simply be what is asked for. What is as it is by default isn't written: a request
/// is found again by its text, and those of earlier versions have none of these.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Policies {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) gap_policy: GapPolicy,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) damage: Damage,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) compatibility: Compatibility,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) fallback: Fallback,
    /// The best if absent.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) rendition: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The news story that a clip is made for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Story {
    pub(crate) id: String,
    pub(crate) name: String,
    /// As it was given: base64 of a JSON object.
    pub(crate) slug_info: String,
}

/// A still that is asked for. The duration belongs to what it is the still of: TVU names its stills by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StillSpec {
    #[serde(flatten)]
    pub(crate) position: Position,
    pub(crate) file_name: String,
}

/// What came of an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExportOutcome {
    /// What was asked for, in wall time.
    pub(crate) requested: TimeRange,
    /// What of it is missing.
    pub(crate) gaps: Vec<Gap>,
    /// In order of time, at least one.
    pub(crate) files: Vec<MadeFile>,
}

/// What came of a still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StillOutcome {
    pub(crate) key: String,
}

impl ExportSpec {
    /// What the file is called if the caller doesn't say: the recording, and where in it the clip begins.
    pub(crate) fn default_name(position: &Position, container: Container) -> String {
        let name = position.uid.rsplit('/').next().unwrap_or_default();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        // Many recordings are called `stream` or `index`: the folder tells them apart.
        let folder = position.uid.rsplit('/').nth(1).map(|folder| format!("{folder}_")).unwrap_or_default();
        let start = position.start.map_or(0, WallTime::nanos) / 1_000_000 + position.mark / 1_000_000;
        format!("clip_{}{}_{start}.{}", plain(&folder), plain(stem), extension(container))
    }

    /// `name` with the extension of `container`, if it doesn't have it.
    pub(crate) fn complete_name(name: &str, container: Container) -> Result<String, String> {
        let extension = extension(container);
        let has = name
            .rsplit_once('.')
            .is_some_and(|(stem, ending)| !stem.is_empty() && ending.eq_ignore_ascii_case(extension));
        let full = if has { name.to_owned() } else { format!("{name}.{extension}") };
        FileName::parse(name)
            .and_then(|_| FileName::parse(&full))
            .map(|name| name.as_str().to_owned())
            .map_err(|e| e.to_string())
    }

    /// Whether `name` leaves room for the numbers of the files that it may be split into.
    ///
    /// # Errors
    /// Says what is wrong with the numbered name.
    pub(crate) fn check_numbered(name: &str) -> Result<(), String> {
        let longest = file_names(name, MAX_FILES).pop().unwrap_or_default();
        FileName::parse(&longest).map(drop).map_err(|e| format!("with the number of a file in it, {e}"))
    }

    /// The lane that its job runs in.
    pub(crate) fn lane(&self) -> jobs::Lane {
        let is_kept = self.video == VideoTarget::Keep && self.policies.compatibility == Compatibility::Keep;
        if is_kept { jobs::Lane::Copy } else { jobs::Lane::Encode }
    }

    /// What is to be made of `range`; what to read for it isn't known yet.
    pub(crate) fn task(&self, range: TimeRange) -> ClipTask {
        ClipTask {
            cut: self.cut,
            container: self.container,
            video: self.video,
            fallback: self.policies.fallback,
            damage: self.policies.damage,
            compatibility: self.policies.compatibility,
            metadata: self.metadata(),
            ..ClipTask::new(Input::default(), range)
        }
    }

    /// Metadata of the file.
    fn metadata(&self) -> Vec<(String, String)> {
        let Some(story) = &self.story else { return Vec::new() };
        let title = if story.name.is_empty() { &story.id } else { &story.name };
        let comment = story.slug().map(|slug| slug.to_string()).unwrap_or_default();
        [("title", title.clone()), ("comment", comment)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}

impl Story {
    /// The slug, decoded; `None` if there is none.
    pub(crate) fn slug(&self) -> Option<serde_json::Value> {
        if self.slug_info.is_empty() { None } else { decode_slug(&self.slug_info).ok() }
    }
}

/// Decodes base64 of a JSON object.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn decode_slug(text: &str) -> Result<serde_json::Value, String> {
    use base64::{
        Engine, alphabet,
        engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    };
    // Padding is often lost on the way; everything else is as RFC 4648 says.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let compact: String = text.split_ascii_whitespace().collect();
    let bytes = LENIENT.decode(compact).map_err(|error| format!("it is not base64: {error}"))?;
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| format!("its base64 doesn't hold JSON: {error}"))?;
    if value.is_object() { Ok(value) } else { Err("its base64 holds JSON, but not an object".into()) }
}

/// `text` as a part of a file name that every system takes.
pub(crate) fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    text.chars().map(plain).take(80).collect()
}

/// The extension of a container's files.
pub(crate) fn extension(container: Container) -> &'static str {
    match container {
        Container::Ts => "ts",
        Container::Mov => "mov",
        Container::Mp4 => "mp4",
    }
}

/// The media type of a container's files (RFC 3555, RFC 4337).
pub(crate) fn media_type(container: Container) -> &'static str {
    match container {
        Container::Ts => "video/mp2t",
        Container::Mov => "video/quicktime",
        Container::Mp4 => "video/mp4",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_extension_once() {
        let name = |name| ExportSpec::complete_name(name, Container::Ts);
        assert_eq!(name("CNN4_RAL4_Feb.20200305191626537").as_deref(), Ok("CNN4_RAL4_Feb.20200305191626537.ts"));
        assert_eq!(name("clip.ts").as_deref(), Ok("clip.ts"));
        assert_eq!(name("clip.TS").as_deref(), Ok("clip.TS"));
        assert_eq!(name("clip.mov").as_deref(), Ok("clip.mov.ts"));
        for bad in ["", "..", "../x", "a/b", "a\\b", "x\0", ".hidden", "con"] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_default_name_is_a_name() {
        for uid in ["a.mp4", "mp4/x/1/stream.mpd", "ü/ö ä.m3u8", "..", "con/nul.ts", &"x/".repeat(400)] {
            let position =
                Position { uid: uid.into(), start: WallTime::from_millis(1_578_344_206_261), mark: 60 * NANOS };
            let name = ExportSpec::default_name(&position, Container::Mov);
            assert!(FileName::parse(&name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn slugs() {
        assert!(decode_slug("eyJzbHVnX2lkIjoiYSJ9").is_ok());
        assert!(decode_slug("eyJzbHVnX2lkIjoi YSJ9\n").is_ok());
        for (text, expected) in [("%%%", "not base64"), ("AAAA", "JSON"), ("W10=", "not an object")] {
            let error = decode_slug(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
