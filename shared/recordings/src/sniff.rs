//! What a file is: by its name, and by its first bytes. Both must agree before anything else looks at it.

use std::fmt;

use media::Format;

use crate::name;

/// How many bytes of a file are looked at.
pub(crate) const HEAD_BYTES: usize = 1024;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A DASH presentation.
    Dash,
    /// An HLS playlist.
    Hls,
    /// Media.
    Media(Format),
    /// Nothing that is read here; the text says what it looks like.
    Other(&'static str),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dash => "a DASH manifest",
            Self::Hls => "an HLS playlist",
            Self::Media(Format::Mp4) => "an MP4 or MOV file",
            Self::Media(Format::MpegTs) => "an MPEG transport stream",
            Self::Media(Format::Matroska) => "a Matroska or WebM file",
            Self::Other(what) => what,
        })
    }
}

/// What a file of this name should be.
pub(crate) fn expected(name: &str) -> Option<Kind> {
    expected_of(&name::extension(name)?)
}

/// What a file with this extension, in lower case, should be.
pub(crate) fn expected_of(extension: &str) -> Option<Kind> {
    match extension {
        "mpd" => Some(Kind::Dash),
        "m3u8" | "m3u" => Some(Kind::Hls),
        "mp4" | "m4v" | "mov" | "m4s" | "fmp4" => Some(Kind::Media(Format::Mp4)),
        "ts" | "mts" | "m2ts" => Some(Kind::Media(Format::MpegTs)),
        "mkv" | "webm" => Some(Kind::Media(Format::Matroska)),
        _ => None,
    }
}

/// What a file that begins like this is.
pub(crate) fn sniff(head: &[u8]) -> Kind {
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    if head.is_empty() {
        Kind::Other("an empty file")
    } else if text.starts_with(b"#EXTM3U") {
        Kind::Hls
    } else if text.starts_with(b"<MPD") || (text.starts_with(b"<?xml") && has_mpd_element(text)) {
        Kind::Dash
    } else if head.starts_with(&[0x1A, 0x45, 0xDF, 0xA3]) {
        Kind::Media(Format::Matroska)
    } else if is_iso_base_media(head) {
        Kind::Media(Format::Mp4)
    } else if is_transport_stream(head) {
        Kind::Media(Format::MpegTs)
    } else {
        Kind::Other(other(text))
    }
}

/// The root element may be prefixed, and comments may come before it, so that it isn't always among the first bytes.
fn has_mpd_element(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    match text.split('<').find(|element| element.starts_with(|c: char| c.is_ascii_alphabetic())) {
        Some(element) => {
            let name = element.split(|c: char| c.is_whitespace() || c == '>').next().unwrap_or_default();
            name.rsplit(':').next() == Some("MPD")
        }
        None => text.len() >= HEAD_BYTES / 2,
    }
}

/// ISO/IEC 14496-12 §4.2: the size of the first box, then its type.
fn is_iso_base_media(head: &[u8]) -> bool {
    const FIRST_BOXES: [&[u8]; 11] =
        [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx", b"emsg", b"pnot"];
    head.len() >= 8 && FIRST_BOXES.contains(&&head[4..8])
}

/// ISO/IEC 13818-1 §2.4.3.2: packets of 188 bytes that begin with 0x47; M2TS puts four bytes before each.
fn is_transport_stream(head: &[u8]) -> bool {
    let is_sync = |at: usize| head.get(at) == Some(&0x47);
    [188, 192].into_iter().any(|packet| {
        (0..packet).any(|first| {
            let starts = (first..head.len()).step_by(packet);
            // Recorders may begin in the middle of a packet. Three in a row are no accident.
            starts.len() >= 3 && starts.into_iter().all(is_sync)
        })
    })
}

fn other(text: &[u8]) -> &'static str {
    match text {
        [0xFF, 0xD8, ..] => "a JPEG picture",
        [0x89, b'P', b'N', b'G', ..] => "a PNG picture",
        [b'R', b'I', b'F', b'F', ..] => "an AVI or WAV file",
        [b'F', b'L', b'V', ..] => "an FLV file",
        [b'I', b'D', b'3', ..] => "an audio file",
        [b'<', ..] => "XML, but not a DASH manifest",
        _ if text.iter().all(|byte| *byte >= b' ' || matches!(*byte, b'\t' | b'\r' | b'\n')) => "a text file",
        _ => "a file of an unknown kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(size: usize, lead: usize) -> Vec<u8> {
        let mut bytes = vec![0xAA; HEAD_BYTES];
        (lead..HEAD_BYTES).step_by(size).for_each(|at| bytes[at] = 0x47);
        bytes
    }

    #[test]
    fn first_bytes_tell_what_a_file_is() {
        for (head, kind) in [
            (&b"\0\0\0\x20ftypisom"[..], Kind::Media(Format::Mp4)),
            (b"\x1A\x45\xDF\xA3\x9f", Kind::Media(Format::Matroska)),
            (&packets(188, 0), Kind::Media(Format::MpegTs)),
            (&packets(188, 77), Kind::Media(Format::MpegTs)),
            (&packets(192, 4), Kind::Media(Format::MpegTs)),
            (b"#EXTM3U\n#EXT-X-VERSION:3\n", Kind::Hls),
            (b"\xEF\xBB\xBF#EXTM3U\r\n", Kind::Hls),
            (b"<?xml version=\"1.0\"?>\n<!-- x -->\n<MPD xmlns=\"urn\">", Kind::Dash),
            (b"<?xml version=\"1.0\"?><d:MPD>", Kind::Dash),
            (b"<?xml version=\"1.0\"?><svg>", Kind::Other("XML, but not a DASH manifest")),
            (b"hello, I am no film\n", Kind::Other("a text file")),
            (b"ffconcat version 1.0\nfile x", Kind::Other("a text file")),
            (b"Good morning", Kind::Other("a text file")),
            (b"", Kind::Other("an empty file")),
            (b"\xFF\xD8\xFF", Kind::Other("a JPEG picture")),
            (b"\x00\x01\x02", Kind::Other("a file of an unknown kind")),
        ] {
            assert_eq!(sniff(head), kind, "{head:?}");
        }
    }

    #[test]
    fn names_tell_what_a_file_should_be() {
        assert_eq!(expected("a/b.MOV"), Some(Kind::Media(Format::Mp4)));
        assert_eq!(expected("a/b.m2ts"), Some(Kind::Media(Format::MpegTs)));
        assert_eq!(expected("a/stream.mpd"), Some(Kind::Dash));
        assert_eq!(expected("a/b.txt"), None);
        assert_eq!(expected("a.mp4/b"), None);
    }
}
