//! What a library holds: its recordings, by a walk that is ordered, paged and bounded.

use std::{cmp::Ordering, ops::ControlFlow};

use crate::{
    Entry, Error, Library, MAX_SEGMENTS,
    folder::{Matcher, Pattern},
    library::not_read,
    name,
    sidecar::Note,
    sniff,
};

/// How deep folders are walked into.
const MAX_DEPTH: usize = 16;

/// How many folders one page looks into.
const MAX_FOLDERS: usize = 2000;

/// A recording, as a listing shows it: nothing of it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is asked for by.
    pub uid: String,
    /// How it lies there.
    pub layout: Layout,
}

/// How a recording lies in its library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A DASH manifest.
    Dash,
    /// An HLS playlist.
    Hls,
    /// One media file.
    File,
    /// A folder of time-stamped files.
    Folder,
}

/// Some of the recordings of a library.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourcePage {
    /// In order of their uids, folder by folder.
    pub sources: Vec<Source>,
    /// What the next page comes after; `None` if there is nothing more.
    pub next: Option<String>,
}

impl Library {
    /// Up to `limit` recordings in `folder` and below (empty for all of the library) that come after `after`, which is
    /// the `next` of the page before.
    ///
    /// A folder of time-stamped files is one recording. Of a folder with manifests, only they are recordings: the rest is
    /// taken to be theirs, but for the folders in the root. Symbolic links are left out, and what lies more than 16 folders
    /// deep.
    ///
    /// # Errors
    /// `InvalidUid`, `NotFound`, `Io`; `Unusable` if a folder has too many entries, or a note that is wrong.
    pub fn list(&self, folder: &str, after: Option<&str>, limit: usize) -> Result<SourcePage, Error> {
        if !folder.is_empty() {
            name::check_uid(folder).map_err(|reason| Error::InvalidUid { uid: folder.into(), reason })?;
        }
        let mut walk =
            Walk { library: self, after, limit: limit.max(1), folders: 0, done: None, page: SourcePage::default() };
        // Whatever is above the folder was not asked for.
        let _ = walk.folder(folder, 0)?;
        Ok(walk.page)
    }
}

struct Walk<'a> {
    library: &'a Library,
    after: Option<&'a str>,
    limit: usize,
    /// How many folders were looked into.
    folders: usize,
    /// A name that comes after all in the folder that was done last, and before what comes next.
    done: Option<String>,
    page: SourcePage,
}

/// What is in a folder, as far as it matters.
struct Content {
    manifests: Vec<String>,
    /// Its files of media, and its folders, unless it is a recording as a whole.
    entries: Vec<(String, bool)>,
    is_recording: bool,
}

impl Walk<'_> {
    /// Adds what is in a folder. Breaks off when the page is full.
    fn folder(&mut self, folder: &str, depth: usize) -> Result<ControlFlow<()>, Error> {
        if self.folders == MAX_FOLDERS {
            self.page.next = self.done.take().or(self.after.map(String::from));
            return Ok(ControlFlow::Break(()));
        }
        self.folders += 1;
        let content = self.content(folder, depth)?;
        if content.is_recording {
            return Ok(self.add(folder, Layout::Folder));
        }
        let is_manifest = |(name, is_folder): &(String, bool)| !is_folder && content.manifests.contains(name);
        let has_manifests = !content.manifests.is_empty();
        for entry in &content.entries {
            let uid = name::join(folder, &entry.0);
            let step = match entry {
                (_, true) if has_manifests && depth > 0 => ControlFlow::Continue(()),
                (_, true) if depth == MAX_DEPTH || self.is_passed(&uid) => ControlFlow::Continue(()),
                (_, true) => match self.folder(&uid, depth + 1) {
                    // It was removed meanwhile.
                    Err(Error::NotFound { .. }) => ControlFlow::Continue(()),
                    step => step?,
                },
                _ if has_manifests && !is_manifest(entry) => ControlFlow::Continue(()),
                _ => self.add(&uid, layout(&uid)),
            };
            if step.is_break() {
                return Ok(step);
            }
            if entry.1 {
                self.done = Some(format!("{uid}/{}", char::MAX));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn content(&self, folder: &str, depth: usize) -> Result<Content, Error> {
        let pattern = self.pattern(folder)?;
        let mut matcher = Matcher::new(&pattern);
        let mut content = Content { manifests: Vec::new(), entries: Vec::new(), is_recording: false };
        let mut has_too_many = false;
        let listing = self.library.shelf.store.list(folder, &mut |entry| {
            content.add(&entry, depth > 0 && matcher.matches(&entry));
            has_too_many = content.entries.len() > MAX_SEGMENTS;
            if has_too_many { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        listing.map_err(|error| not_read(folder, error))?;
        if has_too_many {
            return Err(Error::unusable(folder, "is a folder of more than 2,000,000 entries"));
        }
        // Where files are further down, a folder of that name alone makes no recording.
        if !content.is_recording && depth > 0 && content.manifests.is_empty() {
            content.is_recording = matcher.finds_below(&self.library.shelf, folder)?;
        }
        content.is_recording &= content.manifests.is_empty();
        content.entries.sort_unstable();
        Ok(content)
    }

    /// How the files of the folder are named, if it is one of time-stamped files.
    fn pattern(&self, folder: &str) -> Result<Pattern, Error> {
        let note = match folder {
            "" => Note::default(),
            _ => Note::beside(self.library, folder)?.inside(self.library, folder)?,
        };
        self.library.pattern(&note).map_err(|reason| Error::unusable(folder, reason))
    }

    fn add(&mut self, uid: &str, layout: Layout) -> ControlFlow<()> {
        if name::check_uid(uid).is_err() || self.after.is_some_and(|after| in_order(uid, after).is_le()) {
            return ControlFlow::Continue(());
        }
        if self.page.sources.len() == self.limit {
            self.page.next = self.page.sources.last().map(|source| source.uid.clone());
            return ControlFlow::Break(());
        }
        self.page.sources.push(Source { uid: uid.to_owned(), layout });
        ControlFlow::Continue(())
    }

    /// Whether all in the folder `uid` comes before what is wanted.
    fn is_passed(&self, uid: &str) -> bool {
        let is_above = |after: &str| after.strip_prefix(uid).is_some_and(|rest| rest.starts_with('/'));
        self.after.is_some_and(|after| in_order(uid, after).is_lt() && !is_above(after))
    }
}

impl Content {
    fn add(&mut self, entry: &Entry<'_>, is_time_stamped: bool) {
        let kind = sniff::expected(entry.name);
        if is_time_stamped {
            // Its other files need not be kept.
            self.is_recording = true;
            self.entries.retain(|(name, _)| self.manifests.contains(name));
        }
        match kind {
            _ if entry.is_folder && !self.is_recording => self.entries.push((entry.name.to_owned(), true)),
            _ if entry.is_folder => {}
            Some(sniff::Kind::Dash | sniff::Kind::Hls) => {
                self.manifests.push(entry.name.to_owned());
                self.entries.push((entry.name.to_owned(), false));
            }
            Some(sniff::Kind::Media(_)) if !self.is_recording && !is_fragment(entry.name) => {
                self.entries.push((entry.name.to_owned(), false));
            }
            _ => {}
        }
    }
}

/// Whether a file of this name is a part of something, not a recording of its own.
fn is_fragment(name: &str) -> bool {
    name::extension(name).is_some_and(|extension| extension == "m4s")
}

fn layout(uid: &str) -> Layout {
    match sniff::expected(uid) {
        Some(sniff::Kind::Dash) => Layout::Dash,
        Some(sniff::Kind::Hls) => Layout::Hls,
        _ => Layout::File,
    }
}

/// The order of the walk: by the first component that differs.
fn in_order(a: &str, b: &str) -> Ordering {
    a.split('/').cmp(b.split('/'))
}
