//! Recordings in S3, and results there: the same clips, to the frame, as from a folder into a folder.

use e2e::{
    fixtures::{self, Fixture},
    harness::{Setup, spec, state},
    s3::Bucket,
};
use protocol::job::v1::JobState;

use crate::exact::{self, Window};

/// Windows to try in each recording.
const WINDOWS: usize = 4;

/// A bucket with a recording of each of these layouts.
fn library(layouts: &[&str]) -> (Bucket, Vec<&'static Fixture>) {
    let bucket = Bucket::new();
    let of_layout = |layout: &&str| {
        let is_such = |fixture: &&Fixture| fixture.layout == **layout && fixture.gap_ms.is_none();
        fixtures::all().iter().find(is_such).expect("there is one of each layout")
    };
    let fixtures: Vec<_> = layouts.iter().map(of_layout).collect();
    for fixture in &fixtures {
        match fixture.uid.rsplit_once('/') {
            Some((folder, _)) => bucket.put_folder(&format!("library/{folder}"), &fixtures::dir().join(folder)),
            None => bucket.put(&format!("library/{}", fixture.uid), &std::fs::read(fixture.path()).unwrap()),
        }
    }
    (bucket, fixtures)
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_of_recordings_in_a_bucket_hold_exactly_their_frames() {
    let seed = e2e::seed();
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (bucket, fixtures) =
        tokio::task::spawn_blocking(|| library(&["dash", "hls_ts", "hls_fmp4", "mp4"])).await.unwrap();
    let server = Setup::in_bucket(&bucket).start().await;
    for fixture in fixtures {
        for _ in 0..WINDOWS {
            let window = Window::random(&mut random, &[fixture]);
            if window.frames().is_empty() {
                continue;
            }
            let export = exact::check(&server, window).await;
            let stored: Vec<_> = bucket.keys().into_iter().filter(|key| key.contains(&export.id)).collect();
            let [key] = &stored[..] else { panic!("{stored:?} are stored of {export:?}") };
            assert!(key.starts_with("results/export/"), "{key}");
            assert!(bucket.get(key) == server.download(&export.id, 0).await.unwrap());
        }
    }
    // The results are elsewhere, and no draft is left.
    assert_eq!(server.stored(), Vec::<std::path::PathBuf>::new());
    assert_eq!(bucket.uploads(), Vec::<String>::new());
    assert!(bucket.keys().iter().all(|key| !key.contains(".staging")), "{:?}", bucket.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_that_are_not_in_the_bucket_are_not_found() {
    let (bucket, _) = tokio::task::spawn_blocking(|| library(&["mp4"])).await.unwrap();
    bucket.put("secret.mp4", b"outside");
    bucket.put("library/empty.mp4", b"");
    let server = Setup::in_bucket(&bucket).start().await;
    for uid in ["absent.mp4", "absent/stream.mpd", "../secret.mp4", "empty.mp4"] {
        let request =
            protocol::export::v1::CreateExportRequest { spec: Some(spec(uid, 0, 1000)), ..Default::default() };
        let answer = server.client().create_export(request).await;
        if let Ok(accepted) = answer {
            let id = accepted.into_inner().export.unwrap().id;
            let ended = server.ended_export(&id).await;
            assert_eq!(state(&ended), JobState::Failed, "{uid}");
            let text = format!("{ended:?}");
            assert!(!text.contains(&bucket.name) && !text.contains(&bucket.endpoint), "{text}");
        }
    }
    assert_eq!(bucket.get("secret.mp4"), b"outside");
}
