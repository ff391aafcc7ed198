//! What can be asked of `media`, and what it answers: plain data that crosses the pipe to a child process. No path or URL
//! is in it: a child knows its sources by number, and gets each as an open file.

use serde::{Deserialize, Serialize};

use crate::time::{TimeRange, WallTime};

/// One piece of work for a child process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// Say what a source holds.
    Probe(Input),
    /// Make a picture of the first frame at or after a time.
    Thumbnail(ThumbnailTask),
    /// Say what `Clip` would do.
    Plan(ClipTask),
    /// Cut a clip, write it to the output, and verify it.
    Clip(ClipTask),
}

impl Task {
    /// What the task reads.
    pub fn input(&self) -> &Input {
        match self {
            Self::Probe(input) => input,
            Self::Thumbnail(task) => &task.input,
            Self::Plan(task) | Self::Clip(task) => &task.input,
        }
    }
}

/// What to read: stretches of a recording, in order of time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Input {
    /// Names of the sources, as the parent's `Sources` knows them. They stay in the parent.
    #[serde(skip)]
    pub sources: Vec<String>,
    /// Stretches without a gap in them, in order, none overlapping.
    pub spans: Vec<Span>,
}

/// A stretch of a recording without a gap or a change of clock in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// What it covers, as far as the manifest tells. A probe doesn't need it.
    pub range: TimeRange,
    /// The chains of bytes that carry it: one where audio and video are multiplexed, one per rendition where not.
    pub parts: Vec<Part>,
}

/// Bytes that one demuxer reads from front to end as if they were one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The demuxer to use; nothing else is tried.
    pub format: Format,
    /// The init segment that the segments need, if they need one (ISO/IEC 14496-12 fragmented files).
    pub init: Option<Piece>,
    /// The segments, in order: those that the range touches, and one more on each side where there is one.
    pub segments: Vec<Segment>,
    /// Where media time and wall time meet.
    pub anchor: Anchor,
    /// ISO 639-2 or BCP 47 language that the manifest states for it, where it holds one rendition of sound or text.
    pub language: Option<String>,
}

/// A segment and what it covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Where its bytes are.
    pub piece: Piece,
    /// What it covers, as far as the manifest tells.
    pub range: TimeRange,
}

/// Some bytes of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Piece {
    /// Index into `Input::sources`.
    pub source: u32,
    /// The first byte.
    pub offset: u64,
    /// How many bytes; to the end of the source if absent.
    pub length: Option<u64>,
}

/// A fixed point between media time and wall time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Anchor {
    /// The presentation time `ticks / timescale` seconds is at `wall`.
    Ticks {
        /// Presentation time.
        ticks: i64,
        /// Ticks in a second; more than 0.
        timescale: u32,
        /// The same instant on the wall.
        wall: WallTime,
    },
    /// The first video keyframe of this segment (or first packet, where there is no video) is at `wall`: HLS knows no
    /// more (RFC 8216 §4.3.2.6).
    FirstKeyframe {
        /// The segment; it is not always one of the part's.
        piece: Piece,
        /// Wall time of its first keyframe.
        wall: WallTime,
    },
}

/// Container formats that are read. The demuxer is chosen from this, never guessed from the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Format {
    /// MP4, MOV and fragmented MP4.
    Mp4,
    /// MPEG transport stream.
    MpegTs,
    /// Matroska and WebM.
    Matroska,
}

/// Container formats that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Container {
    /// MPEG transport stream.
    Ts,
    /// QuickTime movie, index first.
    Mov,
    /// MP4, index first.
    Mp4,
}

/// How exact the ends of a clip are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cut {
    /// Exactly the frames in the range; only the GOPs that a mark falls into are encoded again.
    Exact,
    /// Copied from the keyframe before; an edit list hides the lead-in. MOV and MP4 only.
    EditList,
    /// Copied from the keyframe before.
    Keyframe,
}

/// What becomes of the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum VideoTarget {
    /// The source's codec, copied wherever the cut allows it.
    Keep,
    /// Encoded to H.264.
    H264,
    /// Encoded to H.265.
    H265,
}

/// What to do where a cut can't be done as asked: an exact one of a codec that can't be smart cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Fallback {
    /// Encode the whole video.
    #[default]
    Encode,
    /// Cut at keyframes.
    Keyframe,
    /// Fail.
    Fail,
}

/// What becomes of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum GapFill {
    /// It is closed up: what comes behind it moves forward.
    #[default]
    Close,
    /// It is filled with black and silence.
    Black,
}

/// What to do about damage: segments that are missing, empty, cut short or unreadable, stretches without frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Damage {
    /// What can't be used is a gap, and reported as one.
    #[default]
    Lenient,
    /// Fail, and say where.
    Strict,
}

/// Who must be able to play the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Compatibility {
    /// Codecs are kept wherever the container can hold them.
    #[default]
    Keep,
    /// Everything that plays MP4: 8 bit 4:2:0 H.264 or HEVC, sizes even, AAC sound.
    Broadest,
}

/// A clip to be cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipTask {
    /// What to read. Time between two spans is a gap.
    pub input: Input,
    /// Mark-in and mark-out.
    pub range: TimeRange,
    /// How exact the ends are.
    pub cut: Cut,
    /// What to write.
    pub container: Container,
    /// What becomes of the video.
    pub video: VideoTarget,
    /// What to do where `cut` can't be done as asked.
    pub fallback: Fallback,
    /// What becomes of the time between two spans.
    pub gaps: GapFill,
    /// What to do about damage in the sources.
    pub damage: Damage,
    /// Who must be able to play the result.
    pub compatibility: Compatibility,
    /// Metadata of the file, as key and value: `title`, `comment`.
    pub metadata: Vec<(String, String)>,
}

impl ClipTask {
    /// The exact frames of `range`, in an MP4, everything else as it is by default.
    pub fn new(input: Input, range: TimeRange) -> Self {
        Self {
            input,
            range,
            cut: Cut::Exact,
            container: Container::Mp4,
            video: VideoTarget::Keep,
            fallback: Fallback::default(),
            gaps: GapFill::default(),
            damage: Damage::default(),
            compatibility: Compatibility::default(),
            metadata: Vec::new(),
        }
    }
}

/// A picture to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThumbnailTask {
    /// What to read.
    pub input: Input,
    /// The picture is the first frame at or after this.
    pub at: WallTime,
    /// Height in pixels; the source's if absent.
    pub height: Option<u32>,
}

/// How far a task has come.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Media time written, in nanoseconds.
    pub media_done: i64,
    /// Media time to write in all, in nanoseconds.
    pub media_total: i64,
    /// Bytes written.
    pub written_bytes: u64,
}

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Phase {
    /// Opening sources, planning.
    #[default]
    Prepare,
    /// Copying or encoding.
    Render,
    /// Writing the index, syncing.
    Finalize,
    /// Reopening the result and comparing it with the plan.
    Verify,
}

/// What a task came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// Of a `Probe`.
    Probe(Probe),
    /// Of a `Thumbnail`.
    Thumbnail(Thumbnail),
    /// Of a `Plan` or a `Clip`.
    Clip(ClipReport),
}

/// What a source holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Its tracks, in the order of the file.
    pub tracks: Vec<TrackInfo>,
    /// Presentation time, in nanoseconds, of the start: 0 for MP4 with an index (edit lists applied), the first video
    /// keyframe's (or, without video, first packet's) time for MP4 made of fragments and for other formats.
    pub start: i64,
    /// Length in nanoseconds, from `start` to the end of the last frame of the video, or of the whole without video.
    pub duration: i64,
    /// How long before the first keyframe the first of the pictures that lead it is shown, in nanoseconds; 0 if none
    /// does. They may refer to what isn't in the source, and are not part of `duration`.
    pub lead: i64,
    /// When it was recorded, if its metadata says so (`creation_time`).
    pub creation_time: Option<WallTime>,
}

/// A track of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackInfo {
    /// What it carries.
    pub kind: TrackKind,
    /// FFmpeg's short name of the codec: `h264`, `aac`.
    pub codec: String,
    /// ISO 639-2 language, if stated.
    pub language: Option<String>,
    /// Width and height in pixels; video only.
    pub size: Option<(u32, u32)>,
    /// Average frames in a second, as a fraction; video only, absent if unknown.
    pub frame_rate: Option<(i32, i32)>,
    /// A name for people, if stated: "Director's commentary".
    #[serde(default)]
    pub title: Option<String>,
    /// What it is for, as FFmpeg writes it: `default`, `forced`, `hearing_impaired`, `comment` …
    #[serde(default)]
    pub dispositions: Vec<String>,
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Text.
    Subtitle,
    /// Anything else.
    Data,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thumbnail {
    /// JPEG.
    pub image: Vec<u8>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// When the frame is.
    pub at: WallTime,
}

/// What a clip is, or would be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipReport {
    /// From the first frame in the file to the end of the last. Hidden frames don't count.
    pub actual: TimeRange,
    /// Playing time in nanoseconds: `actual` less the gaps.
    pub duration: i64,
    /// What of the range is not in the file, or is there as black and silence, in order.
    pub gaps: Vec<Gap>,
    /// The source's tracks and what became of each.
    pub tracks: Vec<TrackReport>,
    /// Video frames shown.
    pub frames: u64,
    /// Of them, those that were encoded again.
    pub encoded_frames: u64,
    /// Media before mark-in that is in the file but hidden by an edit list, in nanoseconds.
    pub hidden_lead_in: i64,
    /// Bytes: estimated in a plan, exact in a result.
    pub size_bytes: u64,
    /// SHA-256 of the file, lower-case hex; empty in a plan.
    pub sha256: String,
    /// What the caller should know: a cut that had to fall back, media missing inside the range.
    pub warnings: Vec<String>,
}

/// A stretch of time without media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// From when to when.
    pub range: TimeRange,
    /// Why, where the source should have had media there: the damage.
    pub damage: Option<String>,
}

/// A track of the source and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackReport {
    /// The track.
    pub track: TrackInfo,
    /// What became of it.
    pub fate: TrackFate,
    /// FFmpeg's short name of its codec in the result; empty if it was dropped.
    pub codec: String,
    /// Why, where that isn't obvious.
    pub reason: String,
}

/// What became of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrackFate {
    /// Its packets are in the result unchanged.
    Copied,
    /// Copied, but for the GOPs that a mark falls into.
    SmartCut,
    /// Decoded and encoded.
    Encoded,
    /// Not in the result.
    Dropped,
}
