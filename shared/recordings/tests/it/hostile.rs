//! Names and manifests that want what isn't theirs.

use std::{os::unix::fs::symlink, process::Command, time::Instant};

use recordings::{Error, Library};

use crate::shelf::{Shelf, run, unprobed};

fn segment(uri: &str) -> String {
    format!("#EXTM3U\n#EXTINF:2,\n{uri}\n#EXT-X-ENDLIST\n")
}

#[test]
fn names_stay_inside_the_library() {
    let shelf = Shelf::new();
    shelf.write("inside/x.m3u8", segment("x.ts"));
    let library = Library::open(&shelf.path("inside")).expect("a folder");
    for uid in
        ["../inside/x.m3u8", "/etc/passwd", "a/../x.m3u8", "./x.m3u8", "", "file:x.m3u8", "http://h/x.m3u8", "x\0"]
    {
        let refused = library.recording(uid, &|_: &_| unreachable!("no media")).expect_err(uid);
        assert!(matches!(refused, Error::InvalidUid { .. }), "{uid}: {refused}");
        assert!(matches!(errors::Error::from(refused), errors::Error::Invalid(fields) if fields[0].field == "uid"));
        assert!(library.open_source(uid).is_err(), "{uid}");
    }
}

#[test]
fn only_regular_files_are_opened() {
    let shelf = Shelf::new();
    shelf.write("real/x.m3u8", segment("x.ts")).write("secret.mp4", b"\0\0\0\x20ftypisom");
    symlink(shelf.path("real/x.m3u8"), shelf.path("link.m3u8")).expect("a link");
    symlink("real", shelf.path("folder")).expect("a link");
    symlink("/etc/passwd", shelf.path("passwd.ts")).expect("a link");
    run(Command::new("mkfifo").arg(shelf.path("fifo.ts")));
    std::fs::create_dir(shelf.path("folder.mp4")).expect("a folder");
    for (uid, part) in [
        ("link.m3u8", "symbolic link"),
        ("folder/x.m3u8", "symbolic link"),
        ("passwd.ts", "symbolic link"),
        ("fifo.ts", "not a regular file"),
        ("folder.mp4", "is a folder"),
        ("secret.mp4/x.ts", "no recording"),
    ] {
        let began = Instant::now();
        let refusal = shelf.refusal(uid);
        assert!(refusal.contains(part), "{uid}: {refusal}");
        assert!(began.elapsed().as_secs() < 2, "{uid} waited");
        assert!(shelf.library.open_source(uid).is_err(), "{uid}");
    }
}

#[test]
fn playlists_point_nowhere_else() {
    let shelf = Shelf::new();
    for uri in [
        "file:///etc/passwd",
        "http://127.0.0.1/x.ts",
        "https://169.254.169.254/latest/meta-data",
        "/etc/passwd",
        "//host/x.ts",
        "../../x.ts",
        "%2e%2e/%2e%2e/x.ts",
        "..%2f..%2fx.ts",
        "concat:a.ts|b.ts",
        "data:video/mp2t,x",
        "x.ts?other=1",
        "C:\\x.ts",
        "x.m3u8",
        "x.vtt",
    ] {
        let refusal = shelf.write("a/x.m3u8", segment(uri)).refusal("a/x.m3u8");
        assert!(refusal.contains("the segment") && refusal.contains(&format!("{uri:?}")), "{uri}: {refusal}");
        let map = format!("#EXTM3U\n#EXT-X-MAP:URI=\"{uri}\"\n#EXTINF:2,\nx.m4s\n");
        let refusal = shelf.write("a/x.m3u8", map).refusal("a/x.m3u8");
        assert!(refusal.contains("the segment"), "{uri}: {refusal}");
    }
    assert!(shelf.write("a/x.m3u8", segment("../b/x.ts")).recording("a/x.m3u8").is_ok(), "a neighbour is inside");
}

#[test]
fn playlists_that_name_themselves_end() {
    let shelf = Shelf::new();
    let master = |uri: &str| format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{uri}\n");
    let began = Instant::now();
    assert!(shelf.write("x.m3u8", master("x.m3u8")).refusal("x.m3u8").contains("multivariant playlist again"));
    assert!(shelf.write("x.m3u8", master("y.m3u8")).refusal("x.m3u8").contains("does not exist"));
    shelf.write("y.m3u8", master("x.m3u8"));
    assert!(shelf.refusal("x.m3u8").contains("multivariant playlist again"));
    assert!(shelf.write("x.m3u8", master("file:///etc/passwd")).refusal("x.m3u8").contains("absolute URL"));
    assert!(shelf.write("y.txt", "secret").write("x.m3u8", master("y.txt")).refusal("x.m3u8").contains("y.txt"));
    assert!(shelf.write("x.m3u8", segment("x.m3u8")).refusal("x.m3u8").contains("of the kind m3u8"));
    assert!(began.elapsed().as_secs() < 2);
}

#[test]
fn playlists_that_are_all_tags_take_no_longer() {
    let shelf = Shelf::new();
    let began = Instant::now();
    for line in
        ["#EXT-X-STREAM-INF:BANDWIDTH=1\nx.m3u8\n", "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\"\n", "A=B,", "\"", "\n", "#"]
    {
        let text =
            format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nnone.m3u8\n{}", line.repeat(1_000_000 / line.len()));
        assert!(!shelf.write("x.m3u8", text).refusal("x.m3u8").is_empty());
    }
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a.m3u8\"\n\
                  #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nv.m3u8\n";
    let video = "#EXTM3U\n#EXTINF:86400,\nv.ts\n".to_owned() + &"#EXTINF:86400,\nv.ts\n".repeat(10);
    let audio = "#EXTM3U\n".to_owned() + &"#EXT-X-DISCONTINUITY\n#EXTINF:1,\na.ts\n".repeat(300_000);
    shelf.write("v.m3u8", video).write("a.m3u8", audio).write("x.m3u8", master);
    let recording = shelf.recording("x.m3u8").expect("a recording");
    assert_eq!(recording.spans().len(), 300_000, "each second of audio has a clock of its own");
    recording.select(recording.range(), &unprobed).expect("all of it");
    // What takes the square of their length takes hours; how fast it is otherwise is for a benchmark to say.
    assert!(began.elapsed().as_secs() < 600, "{:?}", began.elapsed());
}

#[test]
fn playlists_that_are_wrong_are_told_by_line() {
    let shelf = Shelf::new();
    for (text, part) in [
        ("#EXTM3U\n#EXTINF:2,\na.ts\n#EXTINF:x,\nb.ts\n", "line 4"),
        ("#EXTM3U\na.ts\n", "line 2: a segment has no EXTINF"),
        ("#EXTM3U\n#EXT-X-PROGRAM-DATE-TIME:now\n#EXTINF:2,\na.ts\n", "line 2: its date"),
        ("#EXTM3U\n#EXT-X-PROGRAM-DATE-TIME:2262-04-11T23:47:16Z\n#EXTINF:9,\na.ts\n", "2262"),
        ("#EXTM3U\n#EXTINF:2,\n#EXT-X-BYTERANGE:5\na.ts\n", "line 4: a byte range has no offset"),
        ("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:2,\na.ts\n", "line 2: its segments are encrypted"),
        ("#EXTM3U\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:0,\na.ts\n", "has no segments"),
        ("#EXTM3U\n#EXT-X-I-FRAMES-ONLY\n#EXTINF:2,\na.ts\n", "keyframes only"),
        ("#EXTM3U\n", "has no segments"),
        ("#EXTM3U\n#EXTINF:2,\na.ts\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXTINF:2,\nb.m4s\n", "only some"),
    ] {
        let refusal = shelf.write("x.m3u8", text).refusal("x.m3u8");
        assert!(refusal.starts_with("x.m3u8: ") && refusal.contains(part), "{text}: {refusal}");
    }
    shelf.write("x.m3u8", b"#EXTM3U\n\xFF\xFE\n");
    assert!(shelf.refusal("x.m3u8").contains("not UTF-8 at byte 8"));
}

#[test]
fn manifests_point_nowhere_else() {
    let shelf = Shelf::new();
    let dash = |base: &str, media: &str, id: &str| {
        format!(
            r#"<MPD mediaPresentationDuration="PT4S"><Period><BaseURL>{base}</BaseURL><AdaptationSet mimeType="video/mp4">
            <Representation id="{id}"><SegmentTemplate duration="2" media="{media}"/></Representation></AdaptationSet></Period></MPD>"#
        )
    };
    for (base, media, id, part) in [
        ("file:///other.mp4", "$Number$.m4s", "v", "file:///other.mp4"),
        ("http://127.0.0.1/", "$Number$.m4s", "v", "http://127.0.0.1/"),
        ("../../", "$Number$.m4s", "v", "leaves the library"),
        ("b/", "../../../$Number$.m4s", "v", "leaves the library"),
        ("b/", "$RepresentationID$/$Number$.m4s", "../../..", "leaves the library"),
        ("b/", "$RepresentationID$/$Number$.m4s", "/etc", "absolute path"),
        ("b/", "http://h/$Number$.m4s", "v", "absolute URL"),
        ("b/", "$Number%099999d$.m4s", "v", "%0<width>d"),
        ("b/", "same.m4s", "v", "one name"),
    ] {
        let refusal = shelf.write("a/x.mpd", dash(base, media, id)).refusal("a/x.mpd");
        assert!(refusal.contains(part), "{base} {media} {id}: {refusal}");
    }
}

#[test]
fn manifests_that_explode_are_refused() {
    let shelf = Shelf::new();
    let xxe = r#"<?xml version="1.0"?><!DOCTYPE MPD [<!ENTITY x SYSTEM "file:///etc/passwd">]><MPD><BaseURL>&x;</BaseURL></MPD>"#;
    let laughs: String = (1..30).map(|n| format!(r#"<!ENTITY l{n} "&l{};&l{};">"#, n - 1, n - 1)).collect();
    let laughs = format!(
        r#"<?xml version="1.0"?><!DOCTYPE MPD [<!ENTITY l0 "ha">{laughs}]><MPD><BaseURL>&l29;</BaseURL></MPD>"#
    );
    let timeline = |entries: &str| {
        format!(
            r#"<MPD><Period><AdaptationSet mimeType="video/mp4"><Representation id="v"><SegmentTemplate timescale="1"
            media="$Number$.m4s"><SegmentTimeline>{entries}</SegmentTimeline></SegmentTemplate></Representation></AdaptationSet></Period></MPD>"#
        )
    };
    let began = Instant::now();
    for (text, part) in [
        (xxe.to_owned(), "DTD"),
        (laughs, "DTD"),
        (timeline(r#"<S d="1" r="2147483648"/>"#), "2,000,000 segments"),
        (timeline(r#"<S d="1" r="9223372036854775807"/>"#), "2,000,000 segments"),
        (timeline(r#"<S d="1" r="-1"/>"#), "repeats without an end"),
        (timeline(r#"<S t="18446744073709551615" d="1"/>"#), "runs out of time"),
        (timeline(r#"<S t="18446744073709551615" d="18446744073709551615"/>"#), "runs out of time"),
        (timeline(r#"<S t="9223372036854775807" d="1"/>"#), "2262"),
        (timeline(r#"<S t="18446744073709551616" d="1"/>"#), "not a valid DASH manifest"),
        (timeline(""), "has no segments"),
        (format!("<MPD>{}", "<Period>".repeat(200_000)), "elements"),
        ("<MPD/>".into(), "has no segments"),
        ("<MPD><Period/></MPD>".into(), "neither video nor audio"),
        (timeline("<S/>"), "not a valid DASH manifest"),
    ] {
        let refusal = shelf.write("x.mpd", &text).refusal("x.mpd");
        assert!(refusal.contains(part), "{}: {refusal}", text.get(..300).unwrap_or(&text));
    }
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn endless_files_are_not_read_to_the_end() {
    let shelf = Shelf::new();
    for (name, head) in [("x.m3u8", "#EXTM3U\n"), ("x.mpd", "<MPD>")] {
        shelf.write(name, head);
        let file = std::fs::File::options().write(true).open(shelf.path(name)).expect("the file");
        file.set_len(1 << 40).expect("a sparse file");
        assert!(shelf.refusal(name).contains("is longer than 134217728 bytes"));
    }
}
