//! One suite, run on a real folder and on a real S3 server: what is promised of objects holds in both.

#![allow(clippy::unwrap_used)]

mod bounds;
mod bucket;
mod faults;
mod lifetimes;
mod reading;
#[path = "../../../../tests/src/s3.rs"]
#[allow(dead_code, unreachable_pub)] // Shared with crate `e2e`.
mod s3;
mod uploads;

use std::{fs, os::unix::fs::FileExt, path::Path, time::Duration};

use bytes::Bytes;
use storage::{Existing, Key, Object, S3Options, Storage};
use tempfile::TempDir;

/// Where the objects of a bucket are.
const PREFIX: &str = "kept/here";

/// A storage of its own.
struct Fixture {
    /// Where its objects are, or its drafts, if it is in a bucket.
    folder: TempDir,
    bucket: Option<s3::Bucket>,
    storage: Storage,
}

impl Fixture {
    /// In a folder.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path().to_str().unwrap()).await.unwrap();
        Self { folder, bucket: None, storage }
    }

    /// In a bucket.
    async fn in_bucket() -> Self {
        let (folder, bucket) = (tempfile::tempdir().unwrap(), s3::Bucket::new());
        let storage = Storage::open_with(&bucket.location(PREFIX), &options(&bucket, folder.path())).await.unwrap();
        Self { folder, bucket: Some(bucket), storage }
    }

    /// One of each kind.
    async fn each() -> [Self; 2] {
        [Self::new().await, Self::in_bucket().await]
    }

    async fn put(&self, name: &str, bytes: &'static [u8]) -> Object {
        self.storage.put(&key(name), Bytes::from_static(bytes), Existing::Keep).await.unwrap()
    }

    async fn keys(&self) -> Vec<String> {
        self.storage.list(None).await.unwrap().into_iter().map(|object| object.key.to_string()).collect()
    }

    /// Everything that isn't a folder, drafts and unfinished uploads included.
    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(self.folder.path(), self.folder.path(), &mut found);
        if let Some(bucket) = &self.bucket {
            let keys = bucket.keys();
            found.extend(keys.iter().map(|key| key.strip_prefix(PREFIX).unwrap()[1..].to_owned()));
            found.extend(bucket.uploads().iter().map(|key| format!("an upload of {key}")));
        }
        found.sort();
        found
    }

    /// The bytes of an object, read by other means.
    fn bytes(&self, name: &str) -> Vec<u8> {
        match &self.bucket {
            Some(bucket) => bucket.get(&format!("{PREFIX}/{name}")),
            None => fs::read(self.folder.path().join(name)).unwrap(),
        }
    }
}

/// How the test server is reached. An upload is given up at once.
fn options(bucket: &s3::Bucket, scratch: &Path) -> S3Options {
    S3Options {
        endpoint: Some(bucket.endpoint.clone()),
        region: Some("us-east-1".to_owned()),
        access_key_id: Some("test".to_owned()),
        secret_access_key: Some("test".to_owned()),
        allow_http: Some(true),
        scratch: scratch.to_owned(),
        abandoned: Duration::ZERO,
    }
}

fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => walk(&entry.path(), root, found),
            false => found.push(entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
        }
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
