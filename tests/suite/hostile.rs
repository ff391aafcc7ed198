//! Requests and recordings that are wrong, by mistake or on purpose: each is refused with a reason that names it, nothing
//! is left of it, and the server goes on.

use std::{fs, os::unix::fs::symlink, path::PathBuf, time::Duration};

use e2e::{
    fixtures,
    harness::{Server, Setup, eventually, spec},
};
use futures_util::future::join_all;
use protocol::export::v1::{
    Container, CreateExportRequest, Cut, DamagePolicy, ExportSpec, GetThumbnailRequest, ListExportsRequest, Story,
    VideoCodec,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;
use tonic::Code;

use crate::samples::{ORIGIN, copy, edited_playlist};

/// How long it may take until nothing is left of a failed export.
const SWEPT: Duration = Duration::from_secs(30);

/// What became of a request.
#[derive(Debug)]
struct Verdict {
    /// The gRPC code, if it was refused; the reason, if it was accepted and has failed.
    told: String,
    message: String,
}

impl Verdict {
    /// Whether it says that the source can't be used, naming `what`.
    fn blames_the_source(&self, what: &str) -> bool {
        ["FailedPrecondition", "SOURCE_UNUSABLE"].contains(&self.told.as_str()) && self.message.contains(what)
    }
}

/// Asks for an export over gRPC; it must not succeed.
async fn verdict(server: &Server, spec: ExportSpec) -> Verdict {
    let request = CreateExportRequest { spec: Some(spec), ..CreateExportRequest::default() };
    match server.client().create_export(request).await {
        Err(status) => Verdict { told: format!("{:?}", status.code()), message: status.message().to_owned() },
        Ok(accepted) => {
            let export = server.ended_export(&accepted.into_inner().export.unwrap().id).await;
            let failure = export.status.unwrap().failure.unwrap_or_default();
            Verdict { told: failure.reason, message: failure.message }
        }
    }
}

/// The same over TVU's request: HTTP status, `error_code` and message, polled until it has ended.
async fn tvu_verdict(server: &Server, uid: &str) -> (u16, i64, String) {
    let body =
        json!({ "uid": uid, "start_position": ORIGIN, "mark_pos": "00:01", "duration": 20_000, "fetch_media": true });
    let mut last = None;
    eventually(SWEPT, async || {
        let reply = server.post("/resource/v1/export", &body.to_string()).await;
        let (code, message) = (reply.json()["error_code"].clone(), reply.json()["error_message"].clone());
        last = Some((reply.status, code.as_i64().unwrap(), message.as_str().unwrap().to_owned()));
        code != 1
    })
    .await;
    last.expect("it was asked")
}

/// Checks that nothing is left of what was refused, and that the server is as good as new.
async fn check_unharmed(server: &Server) {
    let clean = eventually(SWEPT, async || server.stored().is_empty()).await;
    assert!(clean, "files are left: {:?}", server.stored());
    assert!(server.process().is_alive() && server.is_healthy().await);
    let idle = eventually(SWEPT, async || server.process().busy_child().is_none()).await;
    assert!(idle, "a media process still works");
    assert!(!server.log().contains("panic"), "{}", server.log());
    fs::copy(fixtures::named("mp4_closed_b0.mp4").path(), server.library().join("good.mp4")).unwrap();
    let export = server.export(spec("good.mp4", 1_000, 1_000)).await;
    assert!(export.file.is_some(), "{export:?}");
}

#[tokio::test]
async fn malformed_requests_are_refused_before_anything_is_touched() {
    let server = Setup::new().own_library().start().await;
    copy(&server, "mp4_closed_b0.mp4", "a.mp4");
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let good = || spec("a.mp4", 1_000, 1_000);
    let story = |slug: &str| Some(Story { slug_info: slug.to_owned(), ..Story::default() });
    let cases = [
        ("InvalidArgument", "uid", ExportSpec { uid: String::new(), ..good() }),
        ("InvalidArgument", "..", ExportSpec { uid: "../a.mp4".into(), ..good() }),
        ("InvalidArgument", "..", ExportSpec { uid: "x/../../a.mp4".into(), ..good() }),
        ("InvalidArgument", "uid", ExportSpec { uid: "/etc/passwd".into(), ..good() }),
        ("InvalidArgument", "uid", ExportSpec { uid: "./a.mp4".into(), ..good() }),
        ("InvalidArgument", "uid", ExportSpec { uid: "a.mp4\0.ts".into(), ..good() }),
        ("InvalidArgument", "uid", ExportSpec { uid: "x".repeat(5_000), ..good() }),
        ("NotFound", "nothing/stream.mpd", ExportSpec { uid: "nothing/stream.mpd".into(), ..good() }),
        ("NotFound", "a.mp4/stream.mpd", ExportSpec { uid: "a.mp4/stream.mpd".into(), ..good() }),
        ("OutOfRange", "outside", spec("a.mp4", 61_000, 1_000)),
        ("OutOfRange", "outside", ExportSpec { start_time: Some(prost_types::Timestamp::default()), ..good() }),
        ("InvalidArgument", "spec.duration", ExportSpec { duration: None, ..good() }),
        ("InvalidArgument", "spec.duration", ExportSpec { duration: seconds(0), ..good() }),
        ("InvalidArgument", "spec.duration", ExportSpec { duration: seconds(-1), ..good() }),
        ("InvalidArgument", "spec.duration", ExportSpec { duration: seconds(86_401), ..good() }),
        ("InvalidArgument", "spec.duration", ExportSpec { duration: seconds(i64::MAX), ..good() }),
        ("InvalidArgument", "spec.mark", ExportSpec { mark: seconds(-1), ..good() }),
        ("InvalidArgument", "spec.mark", ExportSpec { mark: seconds(i64::MIN), ..good() }),
        ("InvalidArgument", "spec.cut", ExportSpec { cut: 99, ..good() }),
        (
            "InvalidArgument",
            "spec.cut",
            ExportSpec { cut: Cut::EditList.into(), container: Container::Ts.into(), ..good() },
        ),
        ("InvalidArgument", "spec.container", ExportSpec { container: -1, ..good() }),
        ("InvalidArgument", "spec.video_codec", ExportSpec { video_codec: 99, ..good() }),
        ("InvalidArgument", "spec.file_name", ExportSpec { file_name: "../clip.ts".into(), ..good() }),
        ("InvalidArgument", "spec.file_name", ExportSpec { file_name: "/tmp/clip.ts".into(), ..good() }),
        ("InvalidArgument", "spec.file_name", ExportSpec { file_name: "a\r\nb.ts".into(), ..good() }),
        ("InvalidArgument", "spec.story.slug_info", ExportSpec { story: story("not base64!"), ..good() }),
        ("InvalidArgument", "spec.story.slug_info", ExportSpec { story: story("bm8ganNvbg=="), ..good() }),
    ];
    for (code, what, spec) in cases {
        let shown = format!("{spec:?}");
        let verdict = verdict(&server, spec).await;
        assert!(
            verdict.told == code && verdict.message.contains(what),
            "{verdict:?}, but {code} and {what:?} was due for {shown}"
        );
    }
    let exports = server.client().list_exports(ListExportsRequest::default()).await.unwrap().into_inner().exports;
    assert_eq!(exports, [], "nothing was accepted");
    check_unharmed(&server).await;
}

/// Lays out recordings that are not what they should be: name, and what the refusal has to name.
fn lay_out_impostors(server: &Server) -> Vec<(&'static str, &'static str)> {
    let library = server.library();
    let put = |name: &str, text: &[u8]| {
        let path = library.join(name);
        fs::create_dir_all(path.parent().expect("it lies in the library")).unwrap();
        fs::write(path, text).unwrap();
    };
    put("text.mp4", b"I am no film.\n");
    put("playlist.ts", b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n/etc/passwd\n#EXT-X-ENDLIST\n");
    put("concat.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n");
    put("empty.mp4", b"");
    put("zeros.ts", &[0; 4096]);
    put("noise.ts", &[[0x47].as_slice(), &[0xA5; 187]].concat().repeat(400));
    put("header.mp4", b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2\xFF\xFF\xFF\xFFmoov");
    put("unknown.xyz", b"whatever");
    put(
        "bomb.mpd",
        br#"<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><MPD>&b;&b;</MPD>"#,
    );
    put("itself.m3u8", b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nitself.m3u8\n");
    let playlist = |uri: &str| format!("#EXTM3U\n#EXT-X-TARGETDURATION:60\n#EXTINF:60,\n{uri}\n#EXT-X-ENDLIST\n");
    put("file.m3u8", playlist("file:///etc/passwd").as_bytes());
    put("http.m3u8", playlist("http://127.0.0.1:1/a.ts").as_bytes());
    put("away.m3u8", playlist("../../../../etc/passwd.ts").as_bytes());
    put("absent.m3u8", playlist("absent.ts").as_bytes());
    fs::create_dir(library.join("folder.mp4")).unwrap();
    symlink(fixtures::named("mp4_closed_b0.mp4").path(), library.join("link.mp4")).unwrap();
    symlink(fixtures::dir(), library.join("linked")).unwrap();
    mknodat(CWD, library.join("fifo.mp4"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    vec![
        ("text.mp4", "text file"),
        ("playlist.ts", "HLS playlist"),
        ("concat.mp4", "text file"),
        ("empty.mp4", "empty file"),
        ("zeros.ts", "zeros.ts"),
        ("noise.ts", "noise.ts"),
        ("header.mp4", "header.mp4"),
        ("unknown.xyz", "unknown.xyz"),
        ("bomb.mpd", "bomb.mpd"),
        ("itself.m3u8", "itself.m3u8"),
        ("file.m3u8", "file:///etc/passwd"),
        ("http.m3u8", "http://127.0.0.1:1/a.ts"),
        ("away.m3u8", "../../../../etc/passwd.ts"),
        ("absent.m3u8", "absent.ts"),
        ("folder.mp4", "folder"),
        ("link.mp4", "symbolic link"),
        ("linked/mp4_closed_b0.mp4", "symbolic link"),
        ("fifo.mp4", "regular file"),
    ]
}

#[tokio::test]
async fn what_is_not_a_recording_is_refused_by_name() {
    let server = Setup::new().own_library().start().await;
    let mut wrong = Vec::new();
    for (uid, what) in lay_out_impostors(&server) {
        let verdict = verdict(&server, spec(uid, 1_000, 20_000)).await;
        if !verdict.blames_the_source(what) {
            wrong.push(format!("{uid}, {what:?}: {verdict:?}"));
        }
        let (status, code, message) = tvu_verdict(&server, uid).await;
        if (status, code) != (422, 20) || !message.contains(what) {
            wrong.push(format!("{uid}, {what:?}, over HTTP: {status} {code} {message:?}"));
        }
        let request = GetThumbnailRequest { uid: uid.to_owned(), ..GetThumbnailRequest::default() };
        let refused = server.client().get_thumbnail(request).await.unwrap_err();
        if refused.code() != Code::FailedPrecondition || !refused.message().contains(what) {
            wrong.push(format!("{uid}, {what:?}, as a still: {refused}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    check_unharmed(&server).await;
}

/// Damages the file of this name.
type Spoil = fn(&PathBuf);

/// Lays out recordings one of whose segments is damaged, in each layout that has segments.
fn lay_out_damage(server: &Server) -> Vec<(String, &'static str)> {
    let damage: [(&str, Spoil); 6] = [
        ("missing", |segment| fs::remove_file(segment).unwrap()),
        ("empty", |segment| fs::write(segment, b"").unwrap()),
        ("truncated", |segment| {
            let bytes = fs::read(segment).unwrap();
            fs::write(segment, &bytes[..bytes.len() / 3]).unwrap();
        }),
        ("text", |segment| fs::write(segment, "not found\n".repeat(4_000)).unwrap()),
        ("fifo", |segment| {
            fs::remove_file(segment).unwrap();
            mknodat(CWD, segment, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }),
        ("linked", |segment| {
            fs::remove_file(segment).unwrap();
            symlink(fixtures::named("ts_closed_b0.ts").path(), segment).unwrap();
        }),
    ];
    let layouts = [
        ("hls_ts_closed_b0/index.m3u8", "00005.ts"),
        ("hls_fmp4_closed_b0/index.m3u8", "00005.m4s"),
        ("dash_closed_b0/stream.mpd", "0-00006.m4s"),
    ];
    let mut damaged = Vec::new();
    for (uid, segment) in layouts {
        for (kind, spoil) in damage {
            let name = format!("{kind}_{uid}");
            let path = copy(server, uid, &name);
            spoil(&path.with_file_name(segment));
            damaged.push((name, segment));
        }
    }
    damaged
}

#[tokio::test]
async fn a_damaged_segment_fails_an_export_that_is_strict_and_is_named() {
    let server = Setup::new().own_library().start().await;
    // From the middle of the segment before it to the middle of the one after, copied and encoded.
    let codecs = [VideoCodec::Keep, VideoCodec::H264];
    let damaged = lay_out_damage(&server);
    let cases = damaged.iter().flat_map(|(uid, segment)| codecs.map(|codec| (uid, segment, codec)));
    let verdicts = cases.map(async |(uid, segment, codec)| {
        let strict = DamagePolicy::Strict.into();
        let asked = ExportSpec { video_codec: codec.into(), damage_policy: strict, ..spec(uid, 9_000, 4_000) };
        let verdict = verdict(&server, asked).await;
        // Of a TS that ends early, all that is left may be in order: then it is said when something is missing.
        let is_said = verdict.blames_the_source(segment) || verdict.blames_the_source("at 2026-01-06T19:24:46");
        (!is_said).then(|| format!("{uid}, {segment}, {codec:?}: {verdict:?}"))
    });
    let wrong: Vec<String> = join_all(verdicts).await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    check_unharmed(&server).await;
}

#[tokio::test]
async fn a_playlist_that_lies_about_its_segments_gives_no_wrong_clip() {
    let server = Setup::new().own_library().start().await;
    // Each segment is said to last twice as long as it does.
    edited_playlist(&server, "hls_ts_closed_b0/index.m3u8", "long/index.m3u8", |playlist| {
        let undated =
            playlist.lines().filter(|line| !line.starts_with("#EXT-X-PROGRAM")).collect::<Vec<_>>().join("\n");
        undated.replace("#EXTINF:2.000000", "#EXTINF:4.000000")
    });
    for mark in [21_000, 100_000] {
        let verdict = verdict(&server, spec("long/index.m3u8", mark, 6_000)).await;
        assert!(["SOURCE_UNUSABLE", "NO_MEDIA"].contains(&verdict.told.as_str()), "at {mark}: {verdict:?}");
    }
    check_unharmed(&server).await;
}
