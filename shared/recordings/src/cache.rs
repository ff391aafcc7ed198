//! What is kept of recordings between two looks, the least recently used forgotten first.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{Recording, Version, folder::Listing, hls::Playlist};

/// How much is kept, in bytes, about.
const MAX_BYTES: usize = 128 << 20;

/// How many recordings are kept.
const MAX_ENTRIES: usize = 4096;

/// What is kept of a recording.
#[derive(Debug)]
pub(crate) enum Kept {
    /// The files of a folder, and the pattern that they were read with.
    Folder { pattern: String, listing: Arc<Listing> },
    /// What manifests say, as long as they stay as they are.
    Manifest { files: Vec<(String, Version)>, recording: Recording, playlists: Vec<Arc<Playlist>> },
}

impl Kept {
    fn bytes(&self) -> usize {
        match self {
            Self::Folder { listing, .. } => listing.bytes(),
            Self::Manifest { recording, .. } => recording.bytes(),
        }
    }
}

/// What is kept, by uid.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_uid: HashMap<String, Entry>,
    bytes: usize,
    /// Counts uses.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    kept: Arc<Kept>,
    bytes: usize,
    used: u64,
}

impl Cache {
    pub(crate) fn get(&self, uid: &str) -> Option<Arc<Kept>> {
        let mut entries = self.lock();
        entries.uses += 1;
        let used = entries.uses;
        entries.by_uid.get_mut(uid).map(|entry| {
            entry.used = used;
            Arc::clone(&entry.kept)
        })
    }

    pub(crate) fn put(&self, uid: &str, kept: Kept) {
        self.keep(uid, kept.bytes().saturating_add(uid.len() + size_of::<Entry>()), Arc::new(kept));
    }

    fn keep(&self, uid: &str, bytes: usize, kept: Arc<Kept>) {
        let mut entries = self.lock();
        entries.remove(uid);
        if bytes > MAX_BYTES {
            return;
        }
        while entries.bytes + bytes > MAX_BYTES || entries.by_uid.len() >= MAX_ENTRIES {
            let oldest = entries.by_uid.iter().min_by_key(|(_, entry)| entry.used).map(|(uid, _)| uid.clone());
            match oldest {
                Some(oldest) => entries.remove(&oldest),
                None => break,
            }
        }
        entries.uses += 1;
        entries.bytes += bytes;
        let used = entries.uses;
        entries.by_uid.insert(uid.to_owned(), Entry { kept, bytes, used });
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn remove(&mut self, uid: &str) {
        if let Some(entry) = self.by_uid.remove(uid) {
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Arc<Kept> {
        Arc::new(Kept::Folder { pattern: String::new(), listing: Arc::new(Listing::default()) })
    }

    #[test]
    fn the_least_recently_used_is_forgotten() {
        let cache = Cache::default();
        let third = MAX_BYTES / 3;
        ["a", "b", "c"].iter().for_each(|uid| cache.keep(uid, third, kept()));
        assert!(cache.get("a").is_some());
        cache.keep("d", third, kept());
        let known: Vec<_> = ["a", "b", "c", "d"].iter().filter(|uid| cache.get(uid).is_some()).collect();
        assert_eq!(known, [&"a", &"c", &"d"]);
        cache.keep("a", MAX_BYTES + 1, kept());
        assert!(cache.get("a").is_none() && cache.get("c").is_some());
        cache.keep("c", 5, kept());
        assert_eq!(cache.lock().bytes, third + 5);
    }
}
