//! HLS (RFC 8216): a media playlist, or a multivariant one with its best rendition and the audio that belongs to it.

mod choice;
mod clock;
mod playlist;
mod reader;
mod rows;
mod tags;

use std::sync::Arc;

use crate::{Error, Recording, error::excerpt, library::Reading, name, timeline::Section};

use choice::{Choice, Sound};
pub(crate) use playlist::Playlist;

/// The longest multivariant playlist, in bytes.
const MAX_MULTIVARIANT_BYTES: u64 = 1 << 20;

/// How much of a playlist tells whether it is multivariant, in bytes.
const TELLING_BYTES: u64 = 16 << 10;

/// The recording of the playlist `uid`, and the media playlists that were read for it; of those in `old`, only what is
/// new. `rendition` names the video; by default it is that with the most bits per second.
pub(crate) fn read(
    reading: &Reading<'_>,
    uid: &str,
    rendition: Option<&str>,
    old: &[Arc<Playlist>],
) -> Result<(Recording, Vec<Arc<Playlist>>), Error> {
    let choice = match is_multivariant(reading, uid)? {
        true => multivariant(reading, uid, rendition)?,
        false if rendition.is_some() => return Err(Error::unsupported(uid, "has no renditions to choose from")),
        false => Choice { video: None, audio: Vec::new() },
    };
    let read = |uri: Option<&str>| media(reading, uid, uri, old).map(Arc::new);
    let video = read(choice.video.as_deref())?;
    let mut playlists = vec![Arc::clone(&video)];
    let video = video.media()?;
    let mut audio = Vec::new();
    for Sound { uri, language } in choice.audio {
        let playlist = read(Some(&uri))?;
        playlists.push(Arc::clone(&playlist));
        let mut sound = playlist.media()?;
        // Renditions run on one clock (RFC 8216 §4.3.4.2.1): audio without dates goes with nothing but video without.
        if sound.has_dates != video.has_dates {
            return Err(Error::unusable(uid, "has dates for only one of video and audio"));
        }
        sound.track.language = language;
        audio.push(sound.track);
    }
    let (has_clock, is_growing) = (video.has_dates, !video.is_ended);
    let section = Section { main: video.track, audio };
    let recording = Recording::of_sections(uid, vec![section], has_clock, is_growing, video.notices)?;
    Ok((recording, playlists))
}

/// The playlist is read as text only if it is a multivariant one.
fn multivariant(reading: &Reading<'_>, uid: &str, rendition: Option<&str>) -> Result<Choice, Error> {
    let text = reading.text(uid, MAX_MULTIVARIANT_BYTES)?;
    choice::choose(uid, &text, rendition)
}

/// Whether the file `name` begins as a multivariant playlist.
pub(crate) fn is_multivariant(reading: &Reading<'_>, name: &str) -> Result<bool, Error> {
    Ok(tells_multivariant(&String::from_utf8_lossy(&reading.bytes(name, 0..TELLING_BYTES)?)))
}

/// The media playlist that a multivariant one names, or is itself. It can't name another multivariant one, so this ends
/// here.
fn media(reading: &Reading<'_>, uid: &str, uri: Option<&str>, old: &[Arc<Playlist>]) -> Result<Playlist, Error> {
    let known = |name: &str| old.iter().find(|old| old.name == name).map(Arc::as_ref);
    let Some(uri) = uri else { return Playlist::read(reading, uid, known(uid)) };
    let refused = |reason: &str| Error::unusable(uid, format!("the playlist {} {reason}", excerpt(uri)));
    let name = name::resolve_file(uid, uri).map_err(refused)?;
    let is_multivariant = is_multivariant(reading, &name).map_err(|error| match error {
        Error::NotFound { .. } => refused("does not exist"),
        error => error,
    })?;
    if is_multivariant {
        return Err(refused("is a multivariant playlist again"));
    }
    Playlist::read(reading, &name, known(&name))
}

/// A playlist is one kind or the other (RFC 8216 §4): the first tag that only one of them has, decides.
fn tells_multivariant(text: &str) -> bool {
    const MULTIVARIANT: [&str; 3] = ["#EXT-X-STREAM-INF", "#EXT-X-MEDIA:", "#EXT-X-I-FRAME-STREAM-INF"];
    let is_multivariant = |line: &str| MULTIVARIANT.iter().any(|tag| line.starts_with(tag));
    let decides = |line: &&str| is_multivariant(line) || line.starts_with("#EXTINF");
    text.lines().find(decides).is_some_and(is_multivariant)
}
