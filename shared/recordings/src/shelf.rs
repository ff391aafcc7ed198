//! The files of a library, and what is remembered of each: how long it is, and whether it can be used.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use media::{
    Anchor, Format, Input, Part, Piece, Segment, Span, TrackKind,
    time::{NANOS, TimeRange, WallTime},
};

use crate::{
    Error, Probe, Store, TOLERANCE, Version,
    boxes::{self, Written},
    library::not_read,
    sniff,
};

/// How many files are remembered: a week of ten-second files.
const REMEMBERED: usize = 65_536;

/// The longest that pictures lead a keyframe, in nanoseconds: as many frames as decoders hold back, at 16 in a second.
pub(crate) const MAX_LEAD: i64 = NANOS;

/// The files of a library.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) store: Box<dyn Store>,
    /// What files were found to hold, so that looking twice doesn't cost twice.
    probes: Mutex<HashMap<String, (Version, Content)>>,
}

/// What a media file holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Pictures or sound.
    Media(Extent),
    /// Nothing yet: it is being written, and can't be read before it is whole.
    NotFinished,
    /// Nothing that can be read, and why.
    Unusable(String),
}

/// How much of a file there is.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    /// Presentation time of its first keyframe, in nanoseconds; 0 in an MP4 with an index.
    pub(crate) start: i64,
    /// Length in nanoseconds from there, more than 0.
    pub(crate) duration: i64,
    /// How long before its first keyframe the pictures begin that lead it, in nanoseconds.
    pub(crate) lead: i64,
    /// When it was recorded, according to itself.
    pub(crate) creation_time: Option<WallTime>,
    /// Bytes that can be read; all if absent.
    pub(crate) bytes: Option<u64>,
    /// Whether it is made of fragments, and was written to a moment ago.
    pub(crate) is_growing: bool,
    /// How far the next file may be from its end and still follow on it: half a frame, in nanoseconds.
    pub(crate) half_frame: i64,
}

impl Shelf {
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        Self { store, probes: Mutex::default() }
    }

    /// What the file `name` holds; it is looked into only if it isn't the one that was looked into before.
    ///
    /// # Errors
    /// `NotFound`, `Io`; `Probe` where another try may help. What is wrong with the file itself is no error.
    pub(crate) fn content(&self, name: &str, format: Format, probe: &dyn Probe) -> Result<Content, Error> {
        let version = self.store.version(name).map_err(|error| not_read(name, error))?;
        if let Some((_, known)) = self.known().get(name).filter(|(known, _)| *known == version) {
            return Ok(known.clone());
        }
        let content = self.look(name, format, &version, probe)?;
        let mut known = self.known();
        // Who asks for that many files gains little from memory; starting over is simpler than telling which are old.
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(name.to_owned(), (version, content.clone()));
        Ok(content)
    }

    /// What is remembered of the file `name`, as it was when it was last looked into.
    pub(crate) fn remembered(&self, name: &str) -> Option<Content> {
        self.known().get(name).map(|(_, content)| content.clone())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (Version, Content)>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, name: &str, format: Format, version: &Version, probe: &dyn Probe) -> Result<Content, Error> {
        let unreadable = |error: io::Error| not_read(name, error);
        let head = self.store.read(name, 0..sniff::HEAD_BYTES as u64).map_err(unreadable)?;
        let (looks, expected) = (sniff::sniff(&head), sniff::Kind::Media(format));
        if looks != expected {
            return Ok(Content::Unusable(format!("is not {expected}: it looks like {looks}")));
        }
        let mut is_growing = false;
        let bytes = match version.may_be_unfinished().then_some(format) {
            // A file that grows is read as far as it was looked into.
            Some(Format::MpegTs) => Some(version.size - version.size % 188),
            Some(Format::Mp4) => {
                let read = |range| self.store.read(name, range);
                match boxes::written(&read, version.size).map_err(unreadable)? {
                    Written::Whole => None,
                    Written::Fragments { end } => {
                        is_growing = version.is_fresh();
                        Some(end)
                    }
                    Written::Nothing => return Ok(Content::NotFinished),
                }
            }
            _ => None,
        };
        match probe.probe(&whole(name, format, bytes)) {
            Ok(found) => Ok(content(&found, bytes, is_growing)),
            Err(
                error @ (media::Error::Unusable(_)
                | media::Error::Damaged { .. }
                | media::Error::Unsupported(_)
                | media::Error::NoMedia(_)
                | media::Error::Limit(_)),
            ) => Ok(Content::Unusable(error.to_string())),
            Err(source) => Err(Error::Probe { name: name.into(), source }),
        }
    }
}

fn content(found: &media::Probe, bytes: Option<u64>, is_growing: bool) -> Content {
    if !found.tracks.iter().any(|track| matches!(track.kind, TrackKind::Video | TrackKind::Audio)) {
        return Content::Unusable("has neither video nor audio".into());
    }
    if found.duration <= 0 {
        return Content::Unusable(format!("has a duration of {} ns", found.duration));
    }
    let rate = found.tracks.iter().filter(|track| track.kind == TrackKind::Video).find_map(|track| track.frame_rate);
    let frame =
        rate.filter(|(num, den)| *num > 0 && *den > 0).map(|(num, den)| NANOS * i64::from(den) / i64::from(num));
    let half_frame = frame.map_or(TOLERANCE, |frame| (frame / 2).min(TOLERANCE));
    let media::Probe { start, duration, lead, creation_time, .. } = *found;
    // Decoders put no more pictures in order than that; what claims more is damaged.
    let lead = if (0..=MAX_LEAD).contains(&lead) { lead } else { 0 };
    Content::Media(Extent { start, duration, lead, creation_time, bytes, is_growing, half_frame })
}

/// All of a file, as a probe takes it.
fn whole(name: &str, format: Format, bytes: Option<u64>) -> Input {
    let range = TimeRange::new(WallTime::EPOCH, WallTime::EPOCH);
    let segment = Segment { piece: Piece { source: 0, offset: 0, length: bytes }, range };
    let anchor = Anchor::Ticks { ticks: 0, timescale: 1, wall: WallTime::EPOCH };
    let part = Part { format, init: None, segments: vec![segment], anchor, language: None };
    Input { sources: vec![name.into()], spans: vec![Span { range, parts: vec![part] }] }
}
