//! Where files are in time. Names say it as well as they can; how long the files are that are looked into says it better.

use media::time::{NANOS, TimeRange, WallTime};

use super::Folder;
use crate::{
    Error, Probe, TOLERANCE,
    shelf::{Content, Extent, MAX_LEAD},
};

/// How many files back time is counted from, at most.
const MAX_BACK: usize = 256;

/// How many files are counted on from the start of one of them, about, where names tell whole seconds only.
const BLOCK: i64 = 64;

/// A file, in its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) index: usize,
    /// When its first keyframe is. Pictures that lead it are before.
    pub(super) start: WallTime,
    /// Whether it goes on from the file before, so that what leads its first keyframe can be decoded.
    pub(super) follows: bool,
    /// What of it counts. It may begin a little before the file before it ends, by less than a frame: then that counts
    /// to here only.
    pub(super) range: TimeRange,
    pub(super) extent: Extent,
}

/// What a step found.
#[derive(Debug)]
pub(super) enum Found {
    File(Placed),
    Unusable { index: usize, reason: String },
}

/// Goes through the files of a folder in order.
///
/// A file that begins about where the one before ends, follows on it: time is counted on, so that no frame is lost or
/// shown twice for the name's lack of precision. About is a second where names tell whole seconds, else half a frame.
/// Where the sum of lengths drifts from the names by more than that, it is led back, by half a frame with each file. What
/// is further off is a gap, or an overlap; of that, the file before has it.
///
/// A name is the time of the first keyframe. Where the pictures that lead it refer to the file before, they belong to the
/// file only behind that one.
///
/// Counting begins at the file before, or where names tell whole seconds, at the first of a block of files that doesn't
/// depend on what is asked for: the same frame has the same time whatever is asked, but for a window that goes on from
/// one block into the next, which counts on; there, frames may be off by as much as names are.
pub(super) struct Walk<'a> {
    folder: &'a Folder,
    probe: &'a dyn Probe,
    index: usize,
    /// Where the files so far end.
    end: Option<WallTime>,
    /// How long what leads the keyframe of the file before is: files that aren't looked into are taken to be alike.
    lead: i64,
    /// Whether the file before wasn't looked into.
    is_guess: bool,
}

impl<'a> Walk<'a> {
    /// From where the file `index` is counted from.
    pub(super) fn new(folder: &'a Folder, index: usize, probe: &'a dyn Probe) -> Self {
        let listing = &folder.listing;
        let mut first = index.saturating_sub(1);
        if !listing.has_fraction() {
            let block = |index: usize| listing.start(index).nanos().div_euclid(listing.spacing().saturating_mul(BLOCK));
            let furthest = index.saturating_sub(MAX_BACK);
            while first > furthest && block(first - 1) == block(first) {
                first -= 1;
            }
        }
        Self { folder, probe, index: first, end: None, lead: 0, is_guess: false }
    }

    /// From where the files are counted from that `instant` may fall into.
    pub(super) fn at(folder: &'a Folder, instant: WallTime, probe: &'a dyn Probe) -> Self {
        let from = instant.saturating_add_nanos(-slack(folder));
        Self::new(folder, folder.listing.after(from).saturating_sub(1), probe)
    }

    /// The file to come.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// The first instant that the file to come may hold; `None` at the end.
    pub(super) fn earliest(&self) -> Option<WallTime> {
        let is_there = self.index < self.folder.listing.len();
        let before = slack(self.folder) + MAX_LEAD;
        is_there.then(|| self.folder.listing.start(self.index).saturating_add_nanos(-before))
    }

    /// The next file; `None` if it holds nothing that counts.
    pub(super) fn next(&mut self) -> Result<Option<Found>, Error> {
        let content = self.folder.content(self.index, self.probe)?;
        Ok(self.take(content))
    }

    /// The next file, looked into only if its name and that of the one after it leave a doubt. Tells whether it was.
    pub(super) fn guess(&mut self) -> Result<(Option<Found>, bool), Error> {
        let listing = &self.folder.listing;
        if let Some(content) = self.folder.shelf.remembered(&listing.name(self.index)) {
            return Ok((self.take(content), false));
        }
        let start = listing.start(self.index);
        let next = (self.index + 1 < listing.len()).then(|| listing.start(self.index + 1));
        let usual = listing.spacing().saturating_add(listing.spacing() / 2);
        match next.map(|next| next.nanos_since(start)).filter(|duration| (1..=usual).contains(duration)) {
            Some(distance) => {
                let extent = Extent {
                    start: 0,
                    duration: (distance - self.lead).max(1),
                    lead: self.lead,
                    half_frame: TOLERANCE,
                    creation_time: None,
                    bytes: None,
                    is_growing: false,
                };
                let found = self.take(Content::Media(extent));
                self.is_guess = true;
                Ok((found, false))
            }
            None => Ok((self.next()?, true)),
        }
    }

    fn take(&mut self, content: Content) -> Option<Found> {
        let index = self.index;
        self.index += 1;
        match content {
            Content::Media(extent) => self.settle(index, extent).map(Found::File),
            Content::Unusable(reason) => Some(Found::Unusable { index, reason }),
            Content::NotFinished if self.index < self.folder.listing.len() => {
                Some(Found::Unusable { index, reason: "was never finished".into() })
            }
            Content::NotFinished => None,
        }
    }

    /// Puts a file in its place.
    fn settle(&mut self, index: usize, extent: Extent) -> Option<Placed> {
        let key = self.folder.listing.start(index);
        let first = key.saturating_add_nanos(-extent.lead);
        // The end of what wasn't looked into is where this file was taken to begin.
        let doubt = if std::mem::take(&mut self.is_guess) { (extent.lead - self.lead).abs() } else { 0 };
        let tolerance = doubt + if self.folder.listing.has_fraction() { extent.half_frame } else { NANOS };
        let (start, from) = match self.end.map(|end| (end, end.nanos_since(first))) {
            Some((end, early)) if early.abs() <= tolerance => (end.saturating_add_nanos(extent.lead), end),
            Some((end, early)) if early.abs() <= tolerance + tolerance / 2 => {
                let step = early.abs().min(extent.half_frame) * early.signum();
                let first = end.saturating_add_nanos(-step);
                self.note(index, early, "time was counted on, and led back by half a frame");
                (first.saturating_add_nanos(extent.lead), first.min(end))
            }
            Some((end, early)) if early > 0 => {
                self.note(index, early, "what both hold was taken from the earlier one");
                (key, end)
            }
            _ => (key, key),
        };
        let follows = self.end.is_some_and(|end| from <= end);
        let end = start.checked_add_nanos(extent.duration)?;
        let range = TimeRange::new(from, end);
        self.end = Some(self.end.map_or(end, |before| before.max(end)));
        self.lead = extent.lead;
        (!range.is_empty()).then_some(Placed { index, start, follows, range, extent })
    }

    fn note(&self, index: usize, early: i64, what: &str) {
        let listing = &self.folder.listing;
        let (by, side) = (early.abs() / 1_000_000, if early > 0 { "before" } else { "after" });
        let text = format!("{} begins {by} ms {side} the end of the file before: {what}", listing.file_name(index));
        self.folder.note(listing.start(index), text);
    }
}

/// How far a file may be from where its name says, in nanoseconds.
fn slack(folder: &Folder) -> i64 {
    if folder.listing.has_fraction() { 2 * TOLERANCE } else { 2 * NANOS }
}
