//! HLS (RFC 8216): a media playlist, or a multivariant one with its best rendition and the audio that belongs to it.

mod clock;
mod playlist;
mod reader;
mod tags;

use m3u8_rs::{AlternativeMediaType, MasterPlaylist, VariantStream};

use crate::{Error, Library, Recording, error::excerpt, name, recording::Section};

use playlist::Playlist;

/// The longest multivariant playlist, in bytes.
const MAX_MULTIVARIANT_BYTES: usize = 1 << 20;

/// The recording of the playlist `uid`.
pub(crate) fn read(library: &Library, uid: &str) -> Result<Recording, Error> {
    let text = library.text(uid)?;
    let (video, audio) = if is_multivariant(&text) {
        let (video, audio) = choose(uid, &text)?;
        (media(library, uid, &video)?, audio.map(|audio| media(library, uid, &audio)).transpose()?)
    } else {
        (Playlist::parse(uid, text)?, None)
    };
    let has_clock = video.has_dates;
    let is_growing = !video.is_ended;
    // Renditions run on one clock (RFC 8216 §4.3.4.2.1), so audio without dates can go with nothing but video without.
    if audio.as_ref().is_some_and(|audio| audio.has_dates != has_clock) {
        return Err(Error::unusable(uid, "has dates for only one of video and audio"));
    }
    let section = Section { main: video.track, audio: audio.map(|audio| audio.track) };
    Recording::new(uid, vec![section], has_clock, is_growing)
}

/// The media playlist that a multivariant one names. It can't name another multivariant one, so this ends here.
fn media(library: &Library, uid: &str, uri: &str) -> Result<Playlist, Error> {
    let refused = |reason: &str| Error::unusable(uid, format!("the playlist {} {reason}", excerpt(uri)));
    let name = name::resolve_file(uid, uri).map_err(refused)?;
    let text = library.text(&name).map_err(|error| match error {
        Error::NotFound { .. } => refused("does not exist"),
        error => error,
    })?;
    if is_multivariant(&text) {
        return Err(refused("is a multivariant playlist again"));
    }
    Playlist::parse(&name, text)
}

/// A playlist is one kind or the other (RFC 8216 §4): the first tag that only one of them has, decides.
fn is_multivariant(text: &str) -> bool {
    let decides = |line: &&str| line.starts_with("#EXT-X-STREAM-INF") || line.starts_with("#EXTINF");
    text.lines().find(decides).is_some_and(|line| line.starts_with("#EXT-X-STREAM-INF"))
}

/// The URIs of the rendition with the most bits per second and of the audio that goes with it, where that is apart.
fn choose(uid: &str, text: &str) -> Result<(String, Option<String>), Error> {
    if text.len() > MAX_MULTIVARIANT_BYTES {
        return Err(Error::unusable(uid, format!("is longer than {MAX_MULTIVARIANT_BYTES} bytes")));
    }
    let playlist = m3u8_rs::parse_master_playlist_res(text.as_bytes())
        .map_err(|_| Error::unusable(uid, "is not a valid multivariant playlist"))?;
    let best = playlist.variants.iter().filter(|variant| !variant.is_i_frame).max_by_key(|variant| variant.bandwidth);
    let best = best.ok_or_else(|| Error::unusable(uid, "names no rendition"))?;
    Ok((best.uri.clone(), audio_of(best, &playlist)))
}

/// The audio rendition of a variant: the default one of its group, or else the first. `None` if it is in the variant.
fn audio_of(variant: &VariantStream, playlist: &MasterPlaylist) -> Option<String> {
    let group = variant.audio.as_ref()?;
    let all = || {
        let audio = playlist.alternatives.iter().filter(|media| media.media_type == AlternativeMediaType::Audio);
        audio.filter(|media| media.group_id == *group)
    };
    let chosen = all().find(|media| media.default).or_else(|| all().next())?;
    chosen.uri.clone().filter(|uri| *uri != variant.uri)
}
