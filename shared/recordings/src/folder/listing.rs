//! The files of a folder, by what their names say.

use std::{cmp::Ordering, collections::HashMap, ops::ControlFlow, sync::Arc, time::Duration};

use media::{
    Format,
    time::{NANOS, WallTime},
};

use super::{
    format,
    pattern::{Fields, Pattern},
};
use crate::{Entry, Error, MAX_SEGMENTS, Version, library::not_read, name, shelf::Shelf, sniff};

/// The most folders below a recording.
const MAX_FOLDERS: usize = 100_000;

/// The most manifests of a folder that are told.
const MAX_MANIFESTS: usize = 64;

/// How many folders are looked into for a time-stamped file.
const MAX_TRIED: usize = 100;

/// How old a folder's last change must be for its version to tell the next: clocks of file systems tick coarsely.
const SETTLED: Duration = Duration::from_secs(2);

/// How many files the usual distance is taken from.
const SAMPLE: usize = 1000;

/// The files of a recording, in order of time.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    folders: Vec<Arc<Listed>>,
    order: Vec<Place>,
    has_fraction: bool,
    /// The usual distance of two starts, in nanoseconds; at least a second.
    spacing: i64,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    start: WallTime,
    folder: u32,
    file: u32,
}

/// A folder as it was listed.
#[derive(Debug)]
struct Listed {
    name: String,
    /// What its name, and those of the folders above, say.
    fields: Fields,
    level: usize,
    /// What it was when it was listed; `None` if that tells nothing.
    version: Option<Version>,
    /// Names of files, one after the other.
    names: String,
    files: Vec<Named>,
    folders: Vec<(String, Fields)>,
    manifests: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Named {
    start: WallTime,
    /// Where its name is in `names`.
    at: u32,
    length: u16,
    format: Format,
}

impl Listing {
    /// Lists the folder `root`. What `old` knows of folders that didn't change is kept; if nothing changed, it is `old`
    /// itself.
    pub(crate) fn read(
        shelf: &Shelf,
        root: &str,
        pattern: &Pattern,
        old: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Error> {
        let known: HashMap<&str, &Arc<Listed>> =
            old.iter().flat_map(|old| &old.folders).map(|folder| (folder.name.as_str(), folder)).collect();
        let mut folders: Vec<Arc<Listed>> = Vec::new();
        let mut waiting = vec![(root.to_owned(), Fields::default(), 0)];
        let (mut has_changed, mut files) = (false, 0);
        while let Some((name, fields, level)) = waiting.pop() {
            let listed = match known.get(name.as_str()).filter(|known| known.is_current(shelf)) {
                Some(known) => Arc::clone(known),
                None => {
                    has_changed = true;
                    match Listed::read(shelf, name, fields, level, pattern) {
                        // Retention removed it meanwhile.
                        Err(Error::NotFound { .. }) if level > 0 => continue,
                        listed => Arc::new(listed?),
                    }
                }
            };
            files += listed.files.len();
            if files > MAX_SEGMENTS || folders.len() + waiting.len() + listed.folders.len() > MAX_FOLDERS {
                return Err(Error::unusable(root, "has more than 2,000,000 files, or 100,000 folders"));
            }
            waiting.extend(listed.folders.iter().map(|(name, fields)| (name.clone(), *fields, level + 1)));
            folders.push(listed);
        }
        match old.filter(|old| !has_changed && old.folders.len() == folders.len()) {
            Some(old) => Ok(Arc::clone(old)),
            None => Ok(Arc::new(Self::new(folders, pattern))),
        }
    }

    fn new(folders: Vec<Arc<Listed>>, pattern: &Pattern) -> Self {
        let places = |(number, folder): (usize, &Arc<Listed>)| {
            let folder_number = u32::try_from(number).unwrap_or(u32::MAX);
            let place = move |(file, named): (usize, &Named)| Place {
                start: named.start,
                folder: folder_number,
                file: u32::try_from(file).unwrap_or(u32::MAX),
            };
            folder.files.iter().enumerate().map(place).collect::<Vec<_>>()
        };
        let mut order: Vec<Place> = folders.iter().enumerate().flat_map(places).collect();
        order.sort_unstable_by(|a, b| a.start.cmp(&b.start).then_with(|| by_name(&folders, a, b)));
        let spacing = spacing(&order);
        Self { folders, order, has_fraction: pattern.has_fraction(), spacing }
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// The manifests that lie beside the files.
    pub(crate) fn manifests(&self) -> &[String] {
        self.folders.first().map(|root| root.manifests.as_slice()).unwrap_or_default()
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        let folders = self.folders.iter().map(|folder| {
            let below: usize = folder.folders.iter().map(|(name, _)| name.len() + size_of::<(String, Fields)>()).sum();
            size_of::<Listed>() + folder.name.len() + folder.names.capacity() + size_of_val(&*folder.files) + below
        });
        size_of_val(&*self.order) + folders.sum::<usize>()
    }

    pub(super) fn has_fraction(&self) -> bool {
        self.has_fraction
    }

    pub(super) fn spacing(&self) -> i64 {
        self.spacing
    }

    /// When file `index` began, by its name.
    pub(super) fn start(&self, index: usize) -> WallTime {
        self.order[index].start
    }

    /// How many files began at or before `instant`, by their names.
    pub(super) fn after(&self, instant: WallTime) -> usize {
        self.order.partition_point(|place| place.start <= instant)
    }

    pub(super) fn format(&self, index: usize) -> Format {
        self.named(self.order[index]).1.format
    }

    /// The name of file `index` in the library.
    pub(super) fn name(&self, index: usize) -> String {
        let (folder, named) = self.named(self.order[index]);
        name::join(&folder.name, folder.text(named))
    }

    /// The name of file `index` in its folder, or nothing.
    pub(super) fn file_name(&self, index: usize) -> &str {
        let place = self.order.get(index).map(|place| self.named(*place));
        place.map(|(folder, named)| folder.text(named)).unwrap_or_default()
    }

    fn named(&self, place: Place) -> (&Listed, &Named) {
        let folder = &self.folders[place.folder as usize];
        (folder, &folder.files[place.file as usize])
    }
}

fn by_name(folders: &[Arc<Listed>], a: &Place, b: &Place) -> Ordering {
    let text = |place: &Place| {
        let folder = &folders[place.folder as usize];
        (folder.name.as_str(), folder.text(&folder.files[place.file as usize]))
    };
    text(a).cmp(&text(b))
}

/// The median distance of the newest files; at least a second.
fn spacing(order: &[Place]) -> i64 {
    let newest = &order[order.len().saturating_sub(SAMPLE)..];
    let mut distances: Vec<i64> = newest.windows(2).map(|pair| pair[1].start.nanos_since(pair[0].start)).collect();
    distances.sort_unstable();
    let median = distances.get(distances.len() / 2).copied().unwrap_or(NANOS);
    // Names of files that are a bit longer than whole seconds are not all as far apart.
    (median.saturating_add(NANOS / 2) / NANOS).max(1) * NANOS
}

impl Listed {
    fn read(shelf: &Shelf, name: String, fields: Fields, level: usize, pattern: &Pattern) -> Result<Self, Error> {
        let version = settled(shelf, &name);
        let mut listed = Self {
            name,
            fields,
            level,
            version,
            names: String::new(),
            files: Vec::new(),
            folders: Vec::new(),
            manifests: Vec::new(),
        };
        let (mut is_full, is_last) = (false, level == pattern.depth());
        let folder = listed.name.clone();
        let listing = shelf.store.list(&folder, &mut |entry| {
            match entry.is_folder {
                true if !is_last => listed.add_folder(&entry, pattern),
                false => {
                    if is_last {
                        listed.add_file(&entry, pattern);
                    }
                    listed.add_manifest(&entry);
                }
                true => {}
            }
            is_full = listed.files.len() > MAX_SEGMENTS || listed.folders.len() > MAX_FOLDERS;
            if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        listing.map_err(|error| not_read(&folder, error))?;
        listed.names.shrink_to_fit();
        listed.files.shrink_to_fit();
        Ok(listed)
    }

    fn is_current(&self, shelf: &Shelf) -> bool {
        self.version.is_some() && shelf.store.version(&self.name).ok() == self.version
    }

    fn add_folder(&mut self, entry: &Entry<'_>, pattern: &Pattern) {
        if let Some(fields) = pattern.read(self.level, entry.name, self.fields) {
            self.folders.push((name::join(&self.name, entry.name), fields));
        }
    }

    fn add_file(&mut self, entry: &Entry<'_>, pattern: &Pattern) {
        let Some((stem, extension)) = entry.name.rsplit_once('.') else { return };
        let Some(format) = format(extension) else { return };
        let fields = pattern.read(self.level, stem, self.fields);
        let start = fields.and_then(|fields| pattern.instant(&fields, entry.modified));
        let place = u32::try_from(self.names.len()).ok().zip(u16::try_from(entry.name.len()).ok());
        let is_name = name::check_uid(&name::join(&self.name, entry.name)).is_ok();
        if let (Some(start), Some((at, length)), true) = (start, place, is_name) {
            self.names.push_str(entry.name);
            self.files.push(Named { start, at, length, format });
        }
    }

    fn add_manifest(&mut self, entry: &Entry<'_>) {
        let is_manifest = matches!(sniff::expected(entry.name), Some(sniff::Kind::Dash | sniff::Kind::Hls));
        if is_manifest && self.level == 0 && self.manifests.len() < MAX_MANIFESTS {
            self.manifests.push(entry.name.to_owned());
        }
    }

    fn text(&self, named: &Named) -> &str {
        let at = named.at as usize;
        &self.names[at..at + usize::from(named.length)]
    }
}

/// The version of a folder, if it tells the next change from this.
fn settled(shelf: &Shelf, name: &str) -> Option<Version> {
    let version = shelf.store.version(name).ok()?;
    version.age().is_some_and(|age| age > SETTLED).then_some(version)
}

/// Tells whether a folder is a recording, by one of its files.
pub(crate) struct Matcher<'a> {
    pattern: &'a Pattern,
    /// Folders that may lead to one.
    folders: Vec<(String, Fields)>,
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(pattern: &'a Pattern) -> Self {
        Self { pattern, folders: Vec::new() }
    }

    /// Whether an entry of the folder is a time-stamped file.
    pub(crate) fn matches(&mut self, entry: &Entry<'_>) -> bool {
        if entry.is_folder {
            let fields = (self.pattern.depth() > 0).then(|| self.pattern.read(0, entry.name, Fields::default()));
            if let Some(fields) = fields.flatten().filter(|_| self.folders.len() < MAX_TRIED) {
                self.folders.push((entry.name.to_owned(), fields));
            }
            return false;
        }
        is_named(self.pattern, 0, Fields::default(), entry)
    }

    /// Whether there is a time-stamped file in one of the folders that may lead to one, below `folder`.
    pub(crate) fn finds_below(&mut self, shelf: &Shelf, folder: &str) -> Result<bool, Error> {
        let mut waiting: Vec<_> =
            self.folders.drain(..).map(|(name, fields)| (name::join(folder, &name), fields, 1)).collect();
        for _ in 0..MAX_TRIED {
            let Some((name, fields, level)) = waiting.pop() else { break };
            let mut is_found = false;
            let listing = shelf.store.list(&name, &mut |entry| {
                if entry.is_folder {
                    let below = self.pattern.read(level, entry.name, fields).filter(|_| level < self.pattern.depth());
                    waiting.extend(below.map(|fields| (name::join(&name, entry.name), fields, level + 1)));
                } else {
                    is_found = is_named(self.pattern, level, fields, &entry);
                }
                if is_found || waiting.len() > MAX_TRIED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            match listing.map_err(|error| not_read(&name, error)) {
                Err(Error::NotFound { .. }) => {}
                listing => listing?,
            }
            if is_found {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether an entry is a file that the pattern gives a time on this level.
fn is_named(pattern: &Pattern, level: usize, fields: Fields, entry: &Entry<'_>) -> bool {
    let stem = entry.name.rsplit_once('.').filter(|(_, extension)| format(extension).is_some());
    let fields = stem.filter(|_| level == pattern.depth()).and_then(|(stem, _)| pattern.read(level, stem, fields));
    fields.is_some_and(|fields| pattern.instant(&fields, entry.modified).is_some())
}
