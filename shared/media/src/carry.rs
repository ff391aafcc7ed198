//! What becomes of each track but the video: one decision, for the plan and for the clip.

use crate::{
    Compatibility, Container, TrackFate, TrackInfo, TrackKind,
    audio::pcm,
    ffmpeg::{SoundShape, Stream, can_decode, is_synchronous},
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
    /// It is text, and written as QuickTime text; for this reason, where it isn't already.
    Text(Option<String>),
    /// It has times but no lengths, and is copied as it is.
    Events(Events),
    /// It is left out, for this reason.
    Drop(String),
}

impl Carry {
    /// What is reported of it: its fate, codec and reason.
    pub(crate) fn report(&self, codec: &str) -> (TrackFate, String, String) {
        match self {
            Self::Frames | Self::Samples | Self::Events(_) | Self::Text(None) => {
                (TrackFate::Copied, codec.into(), String::new())
            }
            Self::Text(Some(reason)) => (TrackFate::Encoded, QUICKTIME_TEXT.into(), reason.clone()),
            Self::Sound(reason) => (TrackFate::Encoded, "aac".into(), reason.clone()),
            Self::Drop(reason) => (TrackFate::Dropped, String::new(), reason.clone()),
        }
    }
}

/// What has times but no lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Events {
    /// An event holds for an instant.
    Momentary,
    /// An event holds until the next: what came last before the clip is shown at its start.
    Lasting,
    /// Splice information (SCTE 35): an event may be about a later time.
    Splices,
    /// Synchronous metadata: each unit is in a cell that says how long it is.
    Cells,
    /// ID3 tags.
    Tags,
}

/// Decides what becomes of `stream`, which is not the video, in `container`.
pub(crate) fn carry(stream: &Stream, container: Container, compatibility: Compatibility) -> Carry {
    let carry = match stream.info.kind {
        TrackKind::Audio => sound(stream, container, compatibility),
        TrackKind::Subtitle => text(&stream.info.codec, container),
        TrackKind::Data => match data(&stream.info.codec, container) {
            Carry::Events(_) if is_synchronous(&stream.parameters) => Carry::Events(Events::Cells),
            other => other,
        },
        TrackKind::Video => Carry::Drop("another video track was chosen".into()),
    };
    match carry {
        Carry::Sound(reason) | Carry::Text(Some(reason)) if !can_decode(&stream.parameters) => {
            Carry::Drop(format!("{reason}, and this build of FFmpeg can't decode it"))
        }
        carry => carry,
    }
}

/// Why no container gets a track, if none does: then it isn't even read.
pub(crate) fn refusal(info: &TrackInfo) -> Option<String> {
    let decide = match info.kind {
        TrackKind::Subtitle => text,
        TrackKind::Data => data,
        TrackKind::Video | TrackKind::Audio => return None,
    };
    match (decide(&info.codec, Container::Ts), decide(&info.codec, Container::Mp4)) {
        (Carry::Drop(_), Carry::Drop(reason)) => Some(reason),
        _ => None,
    }
}

/// What FFmpeg calls the text of QuickTime and of 3GPP TS 26.245.
const QUICKTIME_TEXT: &str = "mov_text";
/// Text that is read and converted.
const TEXTS: [&str; 6] = ["subrip", "webvtt", "ass", "ssa", "text", "dvb_teletext"];

fn text(codec: &str, container: Container) -> Carry {
    let name = name(container);
    match container {
        Container::Ts if codec == "dvb_subtitle" => Carry::Events(Events::Lasting),
        Container::Ts if codec == "dvb_teletext" => Carry::Events(Events::Momentary),
        Container::Ts => Carry::Drop(format!("TS can't hold {codec}")),
        Container::Mp4 | Container::Mov if codec == QUICKTIME_TEXT => Carry::Text(None),
        Container::Mp4 | Container::Mov if TEXTS.contains(&codec) => {
            Carry::Text(Some(format!("{name} can't hold {codec}")))
        }
        Container::Mp4 | Container::Mov => Carry::Drop(format!("{name} can't hold {codec}, and it can't be converted")),
    }
}

fn data(codec: &str, container: Container) -> Carry {
    match container {
        Container::Ts if codec == "scte_35" => Carry::Events(Events::Splices),
        Container::Ts if codec == "klv" => Carry::Events(Events::Momentary),
        Container::Ts if codec == "timed_id3" => Carry::Events(Events::Tags),
        _ if codec == "tmcd" => Carry::Drop("a timecode track counts from the start of its source".into()),
        _ if codec == "none" => Carry::Drop("what kind of data the track holds isn't known".into()),
        _ => Carry::Drop(format!("{} can't hold {codec} data", name(container))),
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
