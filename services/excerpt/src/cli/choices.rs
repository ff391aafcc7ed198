//! Words that can be chosen from, and what each is on the wire.

use clap::ValueEnum;
use protocol::{export::v1, job::v1::JobState};

/// How exact the ends of a clip are.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Cut {
    /// Exactly the frames asked for.
    Exact,
    /// Copied from the keyframe before; the lead-in is hidden but in the file (mov and mp4).
    EditList,
    /// Copied from the keyframe before, and shown from there.
    Keyframe,
}

/// File formats.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Container {
    /// MPEG transport stream.
    Ts,
    /// QuickTime movie.
    Mov,
    /// MP4.
    Mp4,
}

/// What becomes of the video.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Codec {
    /// As it is in the recording.
    Keep,
    /// H.264 (AVC).
    H264,
    /// H.265 (HEVC).
    H265,
}

/// What becomes of gaps.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Gaps {
    /// They are closed up.
    Skip,
    /// They are filled with black and silence.
    Fill,
    /// Each stretch between two of them becomes a file.
    Split,
    /// There may be none.
    Fail,
}

/// What to do about damage.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Damage {
    /// What can't be used is a gap.
    Lenient,
    /// Fail, and say where it is.
    Strict,
}

/// Who must be able to play a clip.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Compatibility {
    /// Codecs are kept wherever the container can hold them.
    Keep,
    /// Everything that plays MP4.
    Broadest,
}

/// What to do where an exact cut can't be done by copying.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Fallback {
    /// Encode the whole video.
    Encode,
    /// Cut at keyframes.
    Keyframe,
    /// Fail.
    Fail,
}

/// Where an export is in its life.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum State {
    /// Waits for its turn.
    Queued,
    /// Is being made.
    Running,
    /// Done.
    Succeeded,
    /// Given up.
    Failed,
    /// Stopped on request.
    Cancelled,
}

impl From<Cut> for v1::Cut {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Exact => Self::Exact,
            Cut::EditList => Self::EditList,
            Cut::Keyframe => Self::Keyframe,
        }
    }
}

impl From<Container> for v1::Container {
    fn from(container: Container) -> Self {
        match container {
            Container::Ts => Self::Ts,
            Container::Mov => Self::Mov,
            Container::Mp4 => Self::Mp4,
        }
    }
}

impl From<Codec> for v1::VideoCodec {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::Keep => Self::Keep,
            Codec::H264 => Self::H264,
            Codec::H265 => Self::H265,
        }
    }
}

impl From<Gaps> for v1::GapPolicy {
    fn from(gaps: Gaps) -> Self {
        match gaps {
            Gaps::Skip => Self::Skip,
            Gaps::Fill => Self::Fill,
            Gaps::Split => Self::Split,
            Gaps::Fail => Self::Fail,
        }
    }
}

impl From<Damage> for v1::DamagePolicy {
    fn from(damage: Damage) -> Self {
        match damage {
            Damage::Lenient => Self::Lenient,
            Damage::Strict => Self::Strict,
        }
    }
}

impl From<Compatibility> for v1::Compatibility {
    fn from(compatibility: Compatibility) -> Self {
        match compatibility {
            Compatibility::Keep => Self::Keep,
            Compatibility::Broadest => Self::Broadest,
        }
    }
}

impl From<Fallback> for v1::Fallback {
    fn from(fallback: Fallback) -> Self {
        match fallback {
            Fallback::Encode => Self::Encode,
            Fallback::Keyframe => Self::Keyframe,
            Fallback::Fail => Self::Fail,
        }
    }
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Running => Self::Running,
            State::Succeeded => Self::Succeeded,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
        }
    }
}
