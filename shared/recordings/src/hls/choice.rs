//! Which renditions of a multivariant playlist are taken.

use m3u8_rs::{AlternativeMedia, AlternativeMediaType, MasterPlaylist, VariantStream};

use crate::{Error, error::excerpt};

/// The most renditions of audio that are taken.
const MAX_AUDIO: usize = 32;

/// Which media playlists are taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The URI of the video's; `None` if it is the playlist itself.
    pub(super) video: Option<String>,
    /// Those of audio that is apart, the default first.
    pub(super) audio: Vec<Sound>,
}

/// A rendition of audio.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sound {
    pub(super) uri: String,
    pub(super) language: Option<String>,
}

/// Chooses from the multivariant playlist `text` the rendition that is called `wanted`, or else that with the most bits
/// per second; and all audio of its group. A rendition is called by its `NAME`, its bandwidth, its resolution
/// (`1280x720`, `720p`) or the URI of its playlist.
pub(super) fn choose(uid: &str, text: &str, wanted: Option<&str>) -> Result<Choice, Error> {
    let playlist = m3u8_rs::parse_master_playlist_res(text.as_bytes())
        .map_err(|_| Error::unusable(uid, "is not a valid multivariant playlist"))?;
    let variants = || playlist.variants.iter().filter(|variant| !variant.is_i_frame);
    let fits = |variant: &&VariantStream| wanted.is_none_or(|wanted| is_called(variant, wanted, &playlist));
    let Some(variant) = variants().filter(fits).max_by_key(|variant| variant.bandwidth) else {
        return Err(match wanted {
            None => Error::unusable(uid, "names no rendition"),
            Some(wanted) => Error::unsupported(uid, unknown(wanted, variants())),
        });
    };
    Ok(Choice { video: Some(variant.uri.clone()), audio: audio_of(variant, &playlist) })
}

fn unknown<'a>(wanted: &str, variants: impl Iterator<Item = &'a VariantStream>) -> String {
    let known = variants.take(8).map(|variant| match &variant.resolution {
        Some(size) => format!("{}x{} ({})", size.width, size.height, variant.bandwidth),
        None => variant.bandwidth.to_string(),
    });
    format!("has no rendition {}; it has {}", excerpt(wanted), known.collect::<Vec<_>>().join(", "))
}

fn is_called(variant: &VariantStream, wanted: &str, playlist: &MasterPlaylist) -> bool {
    let size = variant.resolution.as_ref().map(|size| (size.width, size.height));
    let name = variant.other_attributes.as_ref().and_then(|others| others.get("NAME"));
    let in_group = |media: &AlternativeMedia| {
        media.media_type == AlternativeMediaType::Video
            && Some(&media.group_id) == variant.video.as_ref()
            && media.name == wanted
    };
    variant.bandwidth.to_string() == wanted
        || size.is_some_and(|(width, height)| wanted == format!("{width}x{height}") || wanted == format!("{height}p"))
        || name.is_some_and(|name| name.as_str() == wanted)
        || variant.uri == wanted
        || playlist.alternatives.iter().any(in_group)
}

/// The audio renditions of a variant's group that are not in the variant itself, the default first. If the default one is
/// in the variant, so is the sound that counts; the others are beside it.
fn audio_of(variant: &VariantStream, playlist: &MasterPlaylist) -> Vec<Sound> {
    let Some(group) = &variant.audio else { return Vec::new() };
    let all = playlist.alternatives.iter().filter(|media| media.media_type == AlternativeMediaType::Audio);
    let mut audio: Vec<_> = all.filter(|media| media.group_id == *group).collect();
    audio.sort_by_key(|media| !media.default);
    let mut sounds: Vec<Sound> = Vec::new();
    for media in audio.into_iter().take(MAX_AUDIO) {
        let uri = media.uri.clone().filter(|uri| *uri != variant.uri && sounds.iter().all(|known| known.uri != *uri));
        sounds.extend(uri.map(|uri| Sound { uri, language: media.language.clone() }));
    }
    sounds
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#EXTM3U\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"German\",LANGUAGE=\"de\",URI=\"de.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,URI=\"en.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"Other\",URI=\"other.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=100,RESOLUTION=640x360,AUDIO=\"a\",NAME=\"low\"\nlow.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=900,RESOLUTION=1280x720,AUDIO=\"a\"\nhigh.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=300\nplain.m3u8\n";

    #[test]
    fn best_by_default_or_as_it_is_called() {
        for (wanted, uri) in [
            (None, "high.m3u8"),
            (Some("low"), "low.m3u8"),
            (Some("360p"), "low.m3u8"),
            (Some("640x360"), "low.m3u8"),
            (Some("300"), "plain.m3u8"),
            (Some("plain.m3u8"), "plain.m3u8"),
        ] {
            assert_eq!(choose("x", TEXT, wanted).expect(uri).video.as_deref(), Some(uri), "{wanted:?}");
        }
        let refused = choose("x", TEXT, Some("4K")).expect_err("no such").to_string();
        assert!(refused.contains("\"4K\"") && refused.contains("640x360 (100)"), "{refused}");
    }

    #[test]
    fn all_audio_of_the_group_with_the_default_first() {
        let sound = |uri: &str, language: &str| Sound { uri: uri.into(), language: Some(language.into()) };
        let audio = choose("x", TEXT, None).expect("a choice").audio;
        assert_eq!(audio, [sound("en.m3u8", "en"), sound("de.m3u8", "de")]);
        assert_eq!(choose("x", TEXT, Some("300")).expect("a choice").audio, []);
    }
}
