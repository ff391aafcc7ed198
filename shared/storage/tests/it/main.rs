//! One suite, run on a real folder: what is promised of objects holds on disk.

#![allow(clippy::unwrap_used)]

mod bounds;
mod lifetimes;
mod reading;

use std::{fs, os::unix::fs::FileExt, path::Path};

use bytes::Bytes;
use storage::{Existing, Key, Object, Storage};
use tempfile::TempDir;

/// A storage in a folder of its own.
struct Fixture {
    folder: TempDir,
    storage: Storage,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path().to_str().unwrap()).await.unwrap();
        Self { folder, storage }
    }

    async fn put(&self, name: &str, bytes: &'static [u8]) -> Object {
        self.storage.put(&key(name), Bytes::from_static(bytes), Existing::Keep).await.unwrap()
    }

    async fn keys(&self) -> Vec<String> {
        self.storage.list(None).await.unwrap().into_iter().map(|object| object.key.to_string()).collect()
    }

    /// Everything in the folder that isn't a folder, drafts included.
    fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => walk(&entry.path(), root, found),
                    false => found.push(entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), self.folder.path(), &mut found);
        found.sort();
        found
    }
}

fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

/// Publishes `bytes`, the way that a job does.
async fn publish(storage: &Storage, name: &str, bytes: &[u8]) -> Result<Object, storage::Error> {
    let staged = storage.stage(&key(name)).await?;
    staged.file().write_all_at(bytes, 0).unwrap();
    staged.sync().await?;
    storage.publish(staged).await
}
