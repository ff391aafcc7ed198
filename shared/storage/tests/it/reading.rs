//! Ranges of objects.

use std::ops::Range;

use futures_util::TryStreamExt;
use storage::{Error, PIECE_BYTES};

use crate::{Fixture, key, publish};

/// Reads a range; the bytes, and the longest piece in which they came.
async fn read(fixture: &Fixture, name: &str, range: Range<u64>) -> Result<(Vec<u8>, usize), Error> {
    let stream = fixture.storage.read(&key(name), range).await?;
    let pieces: Vec<_> = stream.try_collect().await?;
    Ok((pieces.concat(), pieces.iter().map(|piece| piece.len()).max().unwrap_or(0)))
}

#[tokio::test]
async fn ranges_come_in_bounded_pieces() {
    for fixture in Fixture::each().await {
        let body: Vec<u8> = (0..PIECE_BYTES * 2 + 1000).map(|n| (n % 251) as u8).collect();
        publish(&fixture.storage, "clip.ts", &body).await.unwrap();
        let (end, piece) = (body.len() as u64, PIECE_BYTES as u64);
        for range in [0..end, 0..0, 0..1, end - 1..end, end..end, piece - 1..piece + 1, piece..piece * 2, 999..end - 1]
        {
            let (bytes, longest) = read(&fixture, "clip.ts", range.clone()).await.unwrap();
            assert_eq!(bytes, body[range.start as usize..range.end as usize], "{range:?}");
            assert!(longest <= PIECE_BYTES);
        }
    }
}

#[tokio::test]
#[allow(clippy::reversed_empty_ranges)]
async fn what_is_not_there_is_an_error() {
    for fixture in Fixture::each().await {
        fixture.put("clip.ts", b"0123456789").await;
        for range in [0..11, 11..11, 5..4, u64::MAX - 1..u64::MAX] {
            assert!(matches!(read(&fixture, "clip.ts", range).await, Err(Error::OutOfRange { size_bytes: 10, .. })));
        }
        assert!(matches!(read(&fixture, "other.ts", 0..1).await, Err(Error::Missing(_))));
    }
}

#[tokio::test]
async fn a_reader_outlives_its_object() {
    let fixture = Fixture::new().await;
    fixture.put("clip.ts", b"0123456789").await;
    let reader = fixture.storage.get(&key("clip.ts")).await.unwrap().unwrap();
    fixture.storage.delete(&key("clip.ts")).await.unwrap();
    let pieces: Vec<_> = reader.stream(2..10).unwrap().try_collect().await.unwrap();
    assert_eq!(pieces.concat(), b"23456789");
    assert!(fixture.storage.get(&key("clip.ts")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_file_cut_short_is_an_error_not_an_end() {
    let fixture = Fixture::new().await;
    fixture.put("clip.ts", b"0123456789").await;
    let reader = fixture.storage.get(&key("clip.ts")).await.unwrap().unwrap();
    let file = std::fs::File::options().write(true).open(fixture.folder.path().join("clip.ts")).unwrap();
    file.set_len(5).unwrap();
    assert!(matches!(reader.stream(0..10).unwrap().try_collect::<Vec<_>>().await, Err(Error::Io { .. })));
}
