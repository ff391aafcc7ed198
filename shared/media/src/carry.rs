//! What becomes of each track but the video: one decision, for the plan and for the clip.

use crate::{
    Compatibility, Container, TrackFate, TrackKind,
    audio::pcm,
    ffmpeg::{SoundShape, Stream},
};

/// What becomes of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carry {
    /// Its packets are copied whole: a frame can't be divided.
    Frames,
    /// Its samples are copied, to the sample.
    Samples,
    /// It is decoded and encoded to AAC, for this reason.
    Sound(String),
    /// It is left out, for this reason.
    Drop(String),
}

impl Carry {
    /// What is reported of it: its fate, codec and reason.
    pub(crate) fn report(&self, codec: &str) -> (TrackFate, String, String) {
        match self {
            Self::Frames | Self::Samples => (TrackFate::Copied, codec.into(), String::new()),
            Self::Sound(reason) => (TrackFate::Encoded, "aac".into(), reason.clone()),
            Self::Drop(reason) => (TrackFate::Dropped, String::new(), reason.clone()),
        }
    }
}

/// Decides what becomes of `stream`, which is not the video, in `container`.
pub(crate) fn carry(stream: &Stream, container: Container, compatibility: Compatibility) -> Carry {
    match stream.info.kind {
        TrackKind::Audio => sound(stream, container, compatibility),
        TrackKind::Video | TrackKind::Subtitle | TrackKind::Data => {
            Carry::Drop(format!("{} tracks are not carried over", stream.info.codec))
        }
    }
}

fn sound(stream: &Stream, container: Container, compatibility: Compatibility) -> Carry {
    let codec = stream.info.codec.as_str();
    let name = name(container);
    let Some(shape) = SoundShape::of_parameters(&stream.parameters) else {
        return match codec {
            "aac" if compatibility == Compatibility::Keep => Carry::Frames,
            _ => Carry::Drop(format!("the sample rate or the channels of the {codec} sound aren't known")),
        };
    };
    if compatibility == Compatibility::Broadest {
        return match (codec, container) {
            ("aac", _) | ("ac3", Container::Ts) => Carry::Frames,
            _ => Carry::Sound(format!("not everything that plays {name} plays {codec}")),
        };
    }
    if !holds(container, codec) {
        return Carry::Sound(format!("{name} can't hold {codec}"));
    }
    match pcm::Layout::of(codec, shape.channels) {
        Some(_) => Carry::Samples,
        None => Carry::Frames,
    }
}

/// Codecs of sound that a container holds in a way that players know, and not just this build of FFmpeg.
fn holds(container: Container, codec: &str) -> bool {
    let anywhere = ["aac", "mp3", "ac3", "eac3"];
    let more: &[&str] = match container {
        // ISO/IEC 13818-1 table 2-34, ETSI TS 101 154, and the Opus mapping of the same.
        Container::Ts => &["aac_latm", "mp1", "mp2", "opus"],
        // What mp4ra.org lists. PCM has a mapping of its own (ISO/IEC 23003-5) that FFmpeg 5.1 doesn't write.
        Container::Mp4 => &["opus", "flac", "alac"],
        // QuickTime File Format, "Sound Sample Descriptions".
        Container::Mov => &["alac"],
    };
    anywhere.contains(&codec) || more.contains(&codec) || (container == Container::Mov && pcm::is_quicktime(codec))
}

/// What people call a container.
pub(crate) fn name(container: Container) -> &'static str {
    match container {
        Container::Ts => "TS",
        Container::Mov => "MOV",
        Container::Mp4 => "MP4",
    }
}
