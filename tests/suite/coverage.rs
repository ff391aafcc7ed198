//! Which recordings there are, and what of each: what a user looks at before asking for a clip.

use std::{collections::BTreeSet, time::Duration};

use e2e::harness::{Server, Setup, at, lasting, spec};
use protocol::{
    export::v1::{
        CreateExportRequest, ExportSpec, GapPolicy, GetCoverageRequest, GetCoverageResponse, ListSourcesRequest,
        ListSourcesResponse,
    },
    recording::v1::{GapReason, Layout},
};
use tonic::{Code, Status};

use crate::samples::{ORIGIN, copy, edited_playlist};

/// Has nothing between 10 s and 14 s, and 60 s in all.
const GAP: &str = "dash_gap/stream.mpd";
const HLS: &str = "hls_ts_closed_b0/index.m3u8";
const FILE: &str = "mp4_closed_b0.mp4";

async fn listed(server: &Server, folder: &str, size: i32, token: &str) -> Result<ListSourcesResponse, Status> {
    let request = ListSourcesRequest { folder: folder.to_owned(), page_size: size, page_token: token.to_owned() };
    Ok(server.client().list_sources(request).await?.into_inner())
}

async fn covered(server: &Server, request: GetCoverageRequest) -> Result<GetCoverageResponse, Status> {
    Ok(server.client().get_coverage(request).await?.into_inner())
}

fn of(uid: &str) -> GetCoverageRequest {
    GetCoverageRequest { uid: uid.to_owned(), ..GetCoverageRequest::default() }
}

#[tokio::test]
async fn a_library_lists_its_recordings_and_not_their_segments() {
    let server = Setup::new().own_library().start().await;
    copy(&server, HLS, "b/index.m3u8");
    copy(&server, GAP, "a/deep/stream.mpd");
    copy(&server, FILE, "a/film.mp4");
    copy(&server, FILE, "z.mp4");
    std::fs::write(server.library().join("notes.txt"), "no recording").unwrap();
    let all = listed(&server, "", 0, "").await.unwrap();
    let found: Vec<_> = all.sources.iter().map(|source| (source.uid.as_str(), source.layout())).collect();
    let expected = [
        ("a/deep/stream.mpd", Layout::Dash),
        ("a/film.mp4", Layout::File),
        ("b/index.m3u8", Layout::Hls),
        ("z.mp4", Layout::File),
    ];
    assert_eq!((found, all.next_page_token.as_str()), (expected.to_vec(), ""));

    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let page = listed(&server, "", 1, &token).await.unwrap();
        assert!(page.sources.len() <= 1);
        paged.extend(page.sources);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, all.sources, "pages add up");

    let below: Vec<_> = listed(&server, "a", 0, "").await.unwrap().sources.into_iter().map(|one| one.uid).collect();
    assert_eq!(below, ["a/deep/stream.mpd", "a/film.mp4"]);
    let token = listed(&server, "a", 1, "").await.unwrap().next_page_token;
    for (folder, size, token) in
        [("", 1, token.as_str()), ("a", -1, ""), ("a", 1, &token[1..]), ("a", 1, "x"), ("../a", 1, ""), ("/etc", 1, "")]
    {
        let refused = listed(&server, folder, size, token).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{folder:?} {size} {token:?}: {refused}");
    }
}

#[tokio::test]
async fn spans_and_gaps_fill_the_range() {
    let server = Server::start().await;
    let coverage = covered(&server, of(GAP)).await.unwrap().coverage.unwrap();
    let spans: Vec<_> = coverage.spans.iter().map(|span| (span.start_time, span.end_time)).collect();
    let side = |millis: i64| Some(at(ORIGIN + millis));
    assert_eq!(spans, [(side(0), side(10_000)), (side(14_000), coverage.end_time)]);
    let [gap] = &coverage.gaps[..] else { panic!("{:?}", coverage.gaps) };
    assert_eq!((gap.start_time, gap.duration), (side(10_000), Some(lasting(Duration::from_secs(4)))));
    assert_eq!(gap.reason(), GapReason::NotRecorded);
    assert_eq!((coverage.start_time, coverage.clocked, coverage.growing), (side(0), true, false));

    let part = GetCoverageRequest { start_time: side(9_000), end_time: side(12_000), ..of(GAP) };
    let part = covered(&server, part).await.unwrap().coverage.unwrap();
    assert_eq!(part.spans.len(), 1);
    assert_eq!((part.spans[0].start_time, part.spans[0].end_time), (side(9_000), side(10_000)));
    assert_eq!(part.gaps[0].duration, Some(lasting(Duration::from_secs(2))), "cut off at the end of the range");
    let before = GetCoverageRequest { start_time: side(-5_000), end_time: side(1_000), ..of(GAP) };
    let before = covered(&server, before).await.unwrap().coverage.unwrap();
    assert_eq!(before.gaps[0].reason(), GapReason::Outside);
}

#[tokio::test]
async fn coverage_comes_in_pages_of_time() {
    let server = Setup::new().own_library().start().await;
    edited_playlist(&server, HLS, "holes/index.m3u8", |playlist| {
        // Every third segment is said to be missing.
        let mut segments = 0;
        let lines = playlist.lines().flat_map(|line| {
            segments += i32::from(line.starts_with("#EXTINF"));
            let missing = line.starts_with("#EXTINF") && segments % 3 == 0;
            missing.then_some("#EXT-X-GAP").into_iter().chain([line])
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    let whole = covered(&server, of("holes/index.m3u8")).await.unwrap().coverage.unwrap();
    assert!(whole.spans.len() > 3 && whole.gaps.len() >= 3, "{whole:?}");
    let (mut spans, mut gaps, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let request = GetCoverageRequest { page_size: 2, page_token: token, ..of("holes/index.m3u8") };
        let page = covered(&server, request).await.unwrap();
        let coverage = page.coverage.unwrap();
        assert!(coverage.spans.len() <= 2);
        spans.extend(coverage.spans);
        gaps.extend(coverage.gaps);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((spans, gaps), (whole.spans, whole.gaps));
}

#[tokio::test]
async fn what_cannot_be_covered_is_refused_by_name() {
    let server = Server::start().await;
    let side = |millis: i64| Some(at(ORIGIN + millis));
    let token = covered(&server, GetCoverageRequest { page_size: 1, ..of(GAP) }).await.unwrap().next_page_token;
    assert!(!token.is_empty());
    let beyond = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    for (request, code, field) in [
        (of(""), Code::InvalidArgument, "uid"),
        (of("../x.mpd"), Code::InvalidArgument, "uid"),
        (of("nothing.mpd"), Code::NotFound, "nothing.mpd"),
        (GetCoverageRequest { page_size: -1, ..of(GAP) }, Code::InvalidArgument, "page_size"),
        (GetCoverageRequest { page_token: token.clone(), ..of(HLS) }, Code::InvalidArgument, "page_token"),
        (GetCoverageRequest { page_token: "x".to_owned(), ..of(GAP) }, Code::InvalidArgument, "page_token"),
        (GetCoverageRequest { start_time: Some(beyond), ..of(GAP) }, Code::InvalidArgument, "start_time"),
        (GetCoverageRequest { start_time: side(9), end_time: side(9), ..of(GAP) }, Code::InvalidArgument, "end_time"),
    ] {
        let refused = covered(&server, request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{request:?}: {refused}");
        assert!(refused.message().contains(field), "{request:?}: {refused}");
    }
}

#[tokio::test]
async fn a_rendition_is_chosen_by_its_bandwidth_or_is_the_best() {
    let server = Setup::new().own_library().start().await;
    copy(&server, HLS, "news/best/index.m3u8");
    copy(&server, "hls_ts_gap/index.m3u8", "news/small/index.m3u8");
    let playlist = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=320x180\nsmall/index.m3u8\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=640x360\nbest/index.m3u8\n";
    std::fs::write(server.library().join("news/all.m3u8"), playlist).unwrap();
    for (rendition, gaps) in [("", 0), ("500000", 1), ("2000000", 0)] {
        let request = GetCoverageRequest { rendition: rendition.to_owned(), ..of("news/all.m3u8") };
        let coverage = covered(&server, request).await.unwrap().coverage.unwrap();
        assert_eq!(coverage.gaps.len(), gaps, "{rendition:?}");
        let policy = GapPolicy::Fail.into();
        let spec =
            ExportSpec { rendition: rendition.into(), gap_policy: policy, ..spec("news/all.m3u8", 8_000, 8_000) };
        let request = CreateExportRequest { spec: Some(spec), validate_only: true, request_id: String::new() };
        assert_eq!(server.client().create_export(request).await.is_err(), gaps > 0, "{rendition:?}");
    }
    let unknown = GetCoverageRequest { rendition: "1080p".to_owned(), ..of("news/all.m3u8") };
    let refused = covered(&server, unknown).await.unwrap_err();
    assert!(refused.message().contains("1080p"), "{refused}");
}

#[tokio::test]
async fn every_account_sees_the_library_and_strangers_do_not() {
    let config = "[[accounts]]\nid = \"a735c56ea4014685bc74c0a375236cc5\"\napi_keys = [\"k1\"]";
    let server = Setup::new().config(config).start().await;
    let request = ListSourcesRequest::default();
    let uids = |answer: ListSourcesResponse| answer.sources.into_iter().map(|one| one.uid).collect::<BTreeSet<_>>();
    let seen = uids(server.client_as("k1").list_sources(request.clone()).await.unwrap().into_inner());
    assert!(seen.contains(GAP) && seen.contains(FILE), "{seen:?}");
    assert_eq!(
        server.client_as("k1").get_coverage(of(GAP)).await.unwrap().into_inner().coverage.unwrap().gaps.len(),
        1
    );
    let mut stranger = server.client();
    assert_eq!(stranger.list_sources(request).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(stranger.get_coverage(of(GAP)).await.unwrap_err().code(), Code::Unauthenticated);
}
