//! Sources of others in a bucket, read by ranges.

use std::io;

use storage::{Bucket, Entry, Error};

use crate::{options, s3};

/// A bucket with some sources, and the suite's view of it. Its calls block, so they are made outside of any runtime.
fn library() -> (s3::Bucket, Bucket) {
    let theirs = s3::Bucket::new();
    for key in ["lib/a/1.ts", "lib/a/2.ts", "lib/a/10.ts", "lib/a b+c/x.mp4", "lib/index.m3u8", "other/secret.ts"] {
        theirs.put(&key.replace(' ', "%20"), key.as_bytes());
    }
    let ours = Bucket::open(&theirs.location("lib"), &options(&theirs, "/nowhere".as_ref())).unwrap();
    (theirs, ours)
}

fn names(bucket: &Bucket, folder: &str, after: &str) -> Vec<String> {
    let entries = bucket.list(folder, after, None).unwrap().entries;
    entries.iter().map(|entry| format!("{}{}", entry.name(), if is_folder(entry) { "/" } else { "" })).collect()
}

fn is_folder(entry: &Entry) -> bool {
    matches!(entry, Entry::Folder(_))
}

#[test]
fn sources_are_listed_by_folder() {
    let (theirs, ours) = library();
    assert_eq!(names(&ours, "", ""), ["a/", "a b+c/", "index.m3u8"]);
    assert_eq!(names(&ours, "a", ""), ["a/1.ts", "a/10.ts", "a/2.ts"]);
    assert_eq!(names(&ours, "a", "10.ts"), ["a/2.ts"]);
    assert_eq!(names(&ours, "b", ""), [""; 0]);
    // As consoles make folders.
    theirs.put("lib/made/", b"");
    assert_eq!(names(&ours, "made", ""), [""; 0]);
}

#[test]
fn long_listings_come_in_pages() {
    let (theirs, ours) = library();
    for n in 0..1005 {
        theirs.put(&format!("lib/many/{n:04}.ts"), b"x");
    }
    let first = ours.list("many", "", None).unwrap();
    assert_eq!(first.entries.len(), 1000);
    let second = ours.list("many", "", first.next.as_deref()).unwrap();
    assert_eq!(second.next, None);
    let names: Vec<_> = first.entries.iter().chain(&second.entries).map(|entry| entry.name().to_owned()).collect();
    assert!(names.iter().enumerate().all(|(n, name)| *name == format!("many/{n:04}.ts")));
    assert_eq!(names.len(), 1005);
}

#[test]
fn sources_are_read_by_ranges_of_one_version() {
    let (theirs, ours) = library();
    let found = ours.head("a/1.ts").unwrap().unwrap();
    assert_eq!(found.size_bytes, 10);
    assert_eq!(ours.read("a/1.ts", 4..8, &found.etag).unwrap(), b"a/1.");
    assert_eq!(ours.read("a/1.ts", 10..10, &found.etag).unwrap(), b"");
    assert_eq!(ours.read("a b+c/x.mp4", 0..11, "").unwrap(), b"lib/a b+c/x");
    for range in [4..11, 11..12] {
        assert!(matches!(ours.read("a/1.ts", range, &found.etag), Err(Error::Io { .. })));
    }
    theirs.put("lib/a/1.ts", b"another one");
    let refused = ours.read("a/1.ts", 4..8, &found.etag).unwrap_err();
    assert!(refused.to_string().contains("replaced"), "{refused}");
    assert_ne!(ours.head("a/1.ts").unwrap().unwrap().etag, found.etag);
}

#[test]
fn names_lead_nowhere_else() {
    let (_theirs, ours) = library();
    assert_eq!(ours.head("a").unwrap(), None);
    assert_eq!(ours.head("a/3.ts").unwrap(), None);
    for name in ["../other/secret.ts", "a//1.ts", "./a/1.ts", "a/\u{1}"] {
        let refused = ours.head(name).unwrap_err();
        assert!(matches!(&refused, Error::Io { source, .. } if source.kind() == io::ErrorKind::InvalidInput), "{name}");
    }
    let absent = ours.read("a/3.ts", 0..1, "").unwrap_err();
    assert!(matches!(&absent, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound), "{absent}");
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let (theirs, _) = library();
    let refused = Bucket::open("s3://nowhere/x", &options(&theirs, "/nowhere".as_ref())).unwrap_err();
    assert!(matches!(refused, Error::Unusable { .. }), "{refused}");
    assert!(refused.to_string().contains("s3://nowhere/x"), "{refused}");
}
