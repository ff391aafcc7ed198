//! What a container says about a track besides how it is coded: language, title, what the track is for, how pictures are
//! to be turned and lit.

use std::slice;

use ff::ffi::AVPacketSideDataType as Kind;
use ffmpeg_next as ff;

use crate::{
    Container, Error,
    language::{iso_639_2, quicktime},
};

/// Titles of more characters than this are cut: a QuickTime handler's name has one byte for its length.
const MAX_TITLE: usize = 60;
/// Side data longer than this is none of the kinds that are kept.
const MAX_SIDE_DATA: usize = 4096;
/// Side data of a track that holds for all its frames, and that players act upon.
const KEPT: [Kind; 5] = [
    Kind::AV_PKT_DATA_DISPLAYMATRIX,
    Kind::AV_PKT_DATA_STEREO3D,
    Kind::AV_PKT_DATA_MASTERING_DISPLAY_METADATA,
    Kind::AV_PKT_DATA_CONTENT_LIGHT_LEVEL,
    Kind::AV_PKT_DATA_SPHERICAL,
];
/// Names that muxers give to tracks without a title.
const UNTITLED: [&str; 6] =
    ["VideoHandler", "SoundHandler", "SubtitleHandler", "DataHandler", "TimeCodeHandler", "Core Media"];

/// What a container says about a track besides how it is coded.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Labels {
    /// ISO 639-2 language.
    pub(crate) language: Option<String>,
    /// A name for people: "Director's commentary".
    pub(crate) title: Option<String>,
    /// `AV_DISPOSITION_*`: default, forced, for the hearing impaired.
    disposition: i32,
    side_data: Vec<(Kind, Vec<u8>)>,
}

impl Labels {
    /// The labels of a stream that was read.
    pub(super) fn of(stream: &ff::format::stream::Stream<'_>) -> Self {
        let metadata = stream.metadata();
        let title = metadata.get("title").or_else(|| metadata.get("handler_name")).map(clean);
        Self {
            language: metadata.get("language").and_then(iso_639_2),
            title: title.filter(|title| !title.is_empty() && !UNTITLED.iter().any(|name| title.starts_with(name))),
            disposition: stream.disposition().bits() & !ff::ffi::AV_DISPOSITION_ATTACHED_PIC,
            side_data: side_data(stream),
        }
    }

    /// What the track is for, in FFmpeg's words.
    pub(super) fn dispositions(&self) -> Vec<String> {
        let bits = (0..31).map(|bit| 1 << bit).filter(|bit| self.disposition & bit != 0);
        let word = |bit| {
            // SAFETY: the call takes any number, and answers with a null pointer or a static string.
            let word = unsafe { ff::ffi::av_disposition_to_string(bit).as_ref() };
            // SAFETY: it is a C string that lives as long as the program.
            word.map(|word| unsafe { std::ffi::CStr::from_ptr(word) }.to_string_lossy().into_owned())
        };
        bits.filter_map(word).collect()
    }

    /// Writes the labels to a stream that was added to an output, which is a `container`.
    ///
    /// # Errors
    /// `Limit` without memory.
    pub(super) fn apply(
        &self,
        added: &mut ff::format::stream::StreamMut<'_>,
        container: Container,
    ) -> Result<(), Error> {
        let mut metadata = ff::Dictionary::new();
        if let Some(language) = &self.language {
            let code = if container == Container::Mov { quicktime(language) } else { language };
            metadata.set("language", code);
        }
        if let Some(title) = &self.title {
            metadata.set("title", title);
            metadata.set("handler_name", title);
        }
        added.set_metadata(metadata);
        // SAFETY: the stream was just added and is exclusively borrowed; a number is set, and the new side data has the
        // length of what is copied into it, and belongs to the stream.
        unsafe {
            let raw = added.as_mut_ptr();
            (*raw).disposition = self.disposition;
            for (kind, bytes) in &self.side_data {
                let memory = ff::ffi::av_stream_new_side_data(raw, *kind, bytes.len());
                if memory.is_null() {
                    return Err(Error::Limit("out of memory".into()));
                }
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory, bytes.len());
            }
        }
        Ok(())
    }
}

fn clean(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_TITLE).collect::<String>().trim().to_owned()
}

fn side_data(stream: &ff::format::stream::Stream<'_>) -> Vec<(Kind, Vec<u8>)> {
    // SAFETY: the stream is valid for the borrow; libav keeps each pointer and its size together.
    unsafe {
        let raw = stream.as_ptr();
        let count = usize::try_from((*raw).nb_side_data).unwrap_or(0);
        if count == 0 || (*raw).side_data.is_null() {
            return Vec::new();
        }
        let all = slice::from_raw_parts((*raw).side_data, count);
        all.iter()
            .filter(|item| KEPT.contains(&item.type_) && !item.data.is_null() && item.size <= MAX_SIDE_DATA)
            .map(|item| (item.type_, slice::from_raw_parts(item.data, item.size).to_vec()))
            .collect()
    }
}
