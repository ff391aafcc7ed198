//! What may not be reached, filled or opened.

use std::{fs, os::unix::fs::symlink};

use bytes::Bytes;
use storage::{Error, Existing, Storage};

use crate::{Fixture, key, publish};

#[tokio::test]
async fn links_are_not_followed() {
    let (fixture, outside) = (Fixture::new().await, tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret.ts"), b"secret").unwrap();
    let root = fixture.folder.path();
    symlink(outside.path(), root.join("folder")).unwrap();
    symlink(outside.path().join("secret.ts"), root.join("link.ts")).unwrap();
    fixture.put("real/clip.ts", b"x").await;
    symlink("real", root.join("inside")).unwrap();
    symlink(outside.path(), root.join("real/out")).unwrap();

    for name in ["folder/secret.ts", "link.ts", "inside/clip.ts", "real/out/secret.ts"] {
        assert_eq!(fixture.storage.head(&key(name)).await.unwrap(), None, "{name}");
    }
    for name in ["folder/new.ts", "real/out/new.ts", "link.ts"] {
        assert!(publish(&fixture.storage, name, b"x").await.is_err(), "{name}");
    }
    assert_eq!(fixture.keys().await, ["real/clip.ts"]);
    assert!(!fixture.storage.delete(&key("folder/secret.ts")).await.unwrap());
    fixture.storage.delete_prefix(&key("real")).await.unwrap();
    fixture.storage.put(&key("link.ts"), Bytes::from_static(b"mine"), Existing::Replace).await.unwrap();
    let names: Vec<_> = fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["secret.ts"]);
    assert_eq!(fs::read(outside.path().join("secret.ts")).unwrap(), b"secret");
}

#[tokio::test]
async fn only_files_are_objects() {
    let fixture = Fixture::new().await;
    fs::create_dir_all(fixture.folder.path().join("folder/clip.ts")).unwrap();
    let fifo = fixture.folder.path().join("fifo.ts");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    fs::write(fixture.folder.path().join("not:a:key"), b"x").unwrap();
    assert_eq!(fixture.storage.head(&key("folder/clip.ts")).await.unwrap(), None);
    assert_eq!(fixture.storage.head(&key("fifo.ts")).await.unwrap(), None);
    assert!(fixture.keys().await.is_empty());
    assert!(matches!(publish(&fixture.storage, "folder/clip.ts", b"x").await, Err(Error::Exists(_))));
}

#[tokio::test]
async fn below_the_reserve_nothing_is_staged() {
    let fixture = Fixture::new().await;
    let full = fixture.storage.clone().with_reserve(u64::MAX);
    let refused = full.stage(&key("clip.ts")).await.unwrap_err();
    assert!(matches!(refused, Error::NoSpace(_)), "{refused}");
    assert!(matches!(full.put(&key("a.jpg"), Bytes::new(), Existing::Keep).await, Err(Error::NoSpace(_))));
    assert!(matches!(errors::Error::from(refused), errors::Error::Exhausted { .. }));
    assert!(fixture.storage.stage(&key("clip.ts")).await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_opened_is_named() {
    let refused = Storage::open("gs://bucket/prefix").await.unwrap_err();
    assert!(matches!(refused, Error::Unsupported(_)));
    assert!(refused.to_string().contains("\"gs://bucket/prefix\""), "{refused}");

    let bucket = crate::s3::Bucket::new();
    let elsewhere = crate::s3::Bucket { name: "nowhere".to_owned(), ..bucket };
    let folder = tempfile::tempdir().unwrap();
    let options = crate::options(&elsewhere, folder.path());
    let refused = Storage::open_with(&elsewhere.location("x"), &options).await.unwrap_err();
    assert!(matches!(refused, Error::Unusable { .. }), "{refused}");
    assert!(refused.to_string().contains("\"s3://nowhere/x\""), "{refused}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"x").unwrap();
    // Nobody, not even root, writes to sysfs.
    for location in [file.to_str().unwrap(), "/sys/kernel", ""] {
        let refused = Storage::open(location).await.unwrap_err();
        assert!(matches!(refused, Error::Unusable { .. }), "{refused}");
        assert!(refused.to_string().contains(location), "{refused}");
    }
}

#[tokio::test]
async fn a_planted_staging_folder_is_refused() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    symlink(outside.path(), folder.path().join(".staging")).unwrap();
    let refused = Storage::open(folder.path().to_str().unwrap()).await.unwrap_err();
    assert!(matches!(refused, Error::Unusable { .. }), "{refused}");
}
