//! A folder of time-stamped files, as MediaMTX, Frigate and FFmpeg's segment muxer write them.
//!
//! ```text
//! pattern.rs   what a name says
//! listing.rs   the files by what their names say; costs nothing but looking into folders
//! place.rs     where files really are: their names, and the lengths of those that are looked into
//! ```

mod listing;
mod pattern;
mod place;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use media::{
    Anchor, Format, Input, Part, Piece, Segment, Span,
    time::{TimeRange, WallTime},
};

use crate::{
    Coverage, Error, Probe, Reason, Selection,
    coverage::{self, Notice, Notices},
    shelf::{Content, Shelf},
    sniff,
};

pub(crate) use listing::{Listing, Matcher};
pub(crate) use pattern::Pattern;
use place::{Found, Placed, Walk};

/// How many files from an end are looked into for one that can be used.
const MAX_UNUSABLE: usize = 16;

/// How many files one question about coverage may look into.
const MAX_LOOKS: usize = 64;

/// A folder of time-stamped files.
#[derive(Debug)]
pub(crate) struct Folder {
    shelf: Arc<Shelf>,
    listing: Arc<Listing>,
    /// From the first file that can be used to the end of the last one.
    range: TimeRange,
    is_growing: bool,
    notices: Mutex<Notices>,
}

/// The format of files with this extension, where time-stamped files have it.
pub(crate) fn format(extension: &str) -> Option<Format> {
    match sniff::expected_of(&extension.to_ascii_lowercase()) {
        Some(sniff::Kind::Media(format)) => Some(format),
        _ => None,
    }
}

impl Folder {
    /// The recording that `listing` lists. Looks into its first file and its last.
    pub(crate) fn open(uid: &str, shelf: Arc<Shelf>, listing: Arc<Listing>, probe: &dyn Probe) -> Result<Self, Error> {
        let epoch = TimeRange::new(WallTime::EPOCH, WallTime::EPOCH);
        let mut folder = Self { shelf, listing, range: epoch, is_growing: false, notices: Mutex::default() };
        let count = folder.listing.len();
        let mut first = None;
        let mut reasons = BTreeMap::new();
        for index in 0..count.min(MAX_UNUSABLE) {
            match folder.content(index, probe)? {
                Content::Media(_) => {
                    first = Some(folder.listing.start(index));
                    break;
                }
                Content::NotFinished => drop(reasons.insert(index, "is not finished".to_owned())),
                Content::Unusable(reason) => drop(reasons.insert(index, reason)),
            }
        }
        let last = folder.last(probe)?;
        let (Some(first), Some(last)) = (first, last) else {
            let (index, reason) = reasons.pop_first().unwrap_or_default();
            let name = folder.listing.file_name(index);
            return Err(Error::unusable(uid, format!("holds no file that can be used; {name} {reason}")));
        };
        folder.range = TimeRange::new(first, last);
        folder.is_growing |= folder.was_written_lately();
        Ok(folder)
    }

    /// The end of the last file that can be used. Notes whether one after that is still being written.
    fn last(&mut self, probe: &dyn Probe) -> Result<Option<WallTime>, Error> {
        let count = self.listing.len();
        for index in (count.saturating_sub(MAX_UNUSABLE)..count).rev() {
            match self.content(index, probe)? {
                Content::NotFinished => self.is_growing = true,
                Content::Unusable(_) => {}
                Content::Media(_) => {
                    let mut walk = Walk::new(self, index, probe);
                    let mut end = None;
                    while walk.index() <= index {
                        if let Some(Found::File(file)) = walk.next()? {
                            end = Some(file.range.end);
                        }
                    }
                    return Ok(end);
                }
            }
        }
        Ok(None)
    }

    fn was_written_lately(&self) -> bool {
        let last = self.listing.len().saturating_sub(1);
        self.shelf.store.version(&self.listing.name(last)).is_ok_and(|version| version.is_fresh())
    }

    fn content(&self, index: usize, probe: &dyn Probe) -> Result<Content, Error> {
        match self.shelf.content(&self.listing.name(index), self.listing.format(index), probe) {
            // Retention removed it since the folder was listed.
            Err(Error::NotFound { .. }) => Ok(Content::Unusable("is no longer there".into())),
            content => content,
        }
    }

    pub(crate) fn range(&self) -> TimeRange {
        self.range
    }

    pub(crate) fn is_growing(&self) -> bool {
        self.is_growing
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).all()
    }

    fn note(&self, at: WallTime, text: String) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).add(at, text);
    }

    /// The files that hold `range`, and what is missing of it. Looks into those that it touches. Where the range begins
    /// with pictures that lead a keyframe, the file before comes first: they refer to it.
    pub(crate) fn select(&self, range: TimeRange, probe: &dyn Probe) -> Result<Selection, Error> {
        let mut input = Input::default();
        let mut before = None;
        let mut walk = Walk::at(self, range.start, probe);
        while walk.earliest().is_some_and(|start| start < range.end) {
            let Some(Found::File(file)) = walk.next()? else { continue };
            let Some(covered) = file.range.intersection(&range) else {
                before = Some(file);
                continue;
            };
            if let Some(before) = before.take().filter(|_| file.follows && covered.start < file.start) {
                self.add(&mut input, &before, before.range);
            }
            self.add(&mut input, &file, covered);
        }
        input.spans.retain(|span| !span.range.is_empty());
        let covered = input.spans.iter().filter_map(|span| span.range.intersection(&range));
        let gaps = coverage::missing(range, covered, 0);
        Ok(Selection { input, gaps })
    }

    /// Adds a file, of which `covered` counts.
    fn add(&self, input: &mut Input, file: &Placed, covered: TimeRange) {
        if let Some(Span { range: before, .. }) = input.spans.last_mut() {
            before.end = before.end.min(covered.start);
        }
        let source = u32::try_from(input.sources.len()).unwrap_or(u32::MAX);
        let piece = Piece { source, offset: 0, length: file.extent.bytes };
        // Files of one recorder may start at any media time, but each starts with a keyframe.
        let anchor = Anchor::FirstKeyframe { piece, wall: file.start };
        let end = file.start.saturating_add_nanos(file.extent.duration);
        let segments = vec![Segment { piece, range: TimeRange::new(file.range.start, end) }];
        let format = self.listing.format(file.index);
        let part = Part { format, init: None, segments, anchor, language: None };
        input.sources.push(self.listing.name(file.index));
        input.spans.push(Span { range: covered, parts: vec![part] });
    }

    /// What of the recording lies in `range`. Files are looked into only where their names leave a doubt.
    pub(crate) fn coverage(&self, range: TimeRange, limit: usize, probe: &dyn Probe) -> Result<Coverage, Error> {
        let mut coverage = coverage::Builder::new(range, limit, 0);
        let mut looks = MAX_LOOKS;
        let mut walk = Walk::at(self, range.start, probe);
        while walk.earliest().is_some_and(|start| start < range.end) && !coverage.is_full() {
            if looks == 0 {
                coverage.stop(walk.earliest().unwrap_or(range.end));
                break;
            }
            let (found, looked) = walk.guess()?;
            looks -= usize::from(looked);
            match found {
                Some(Found::File(file)) => coverage.add(file.range),
                Some(Found::Unusable { index, reason }) => {
                    let start = self.listing.start(index);
                    let reason = format!("{} {reason}", self.listing.file_name(index));
                    coverage.explain(start, Reason::Unusable(reason));
                }
                None => {}
            }
        }
        Ok(coverage.finish(self.is_growing))
    }

    /// The gap around `range`, in which no file is.
    pub(crate) fn gap(&self, range: TimeRange, probe: &dyn Probe) -> Result<TimeRange, Error> {
        let mut walk = Walk::at(self, range.start, probe);
        let mut before = self.range.start;
        loop {
            match walk.next()? {
                Some(Found::File(file)) if file.range.start >= range.end => {
                    return Ok(TimeRange::new(before, file.range.start));
                }
                Some(Found::File(file)) => before = file.range.end,
                None if walk.earliest().is_none() => return Ok(TimeRange::new(before, self.range.end)),
                _ => {}
            }
        }
    }
}
