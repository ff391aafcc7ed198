//! What a library holds, and what of a recording.

use std::{fs, os::unix::fs::symlink, time::Instant};

use media::time::TimeRange;
use recordings::{Layout, Library, LibraryOptions, SourcePage};

use crate::shelf::Shelf;

/// All recordings, in pages of this size.
fn all(library: &Library, folder: &str, limit: usize) -> Vec<(String, Layout)> {
    let (mut sources, mut after) = (Vec::new(), None);
    loop {
        let SourcePage { sources: page, next } = library.list(folder, after.as_deref(), limit).expect("a page");
        assert!(page.len() <= limit);
        sources.extend(page.into_iter().map(|source| (source.uid, source.layout)));
        match next {
            Some(next) => after = Some(next),
            None => return sources,
        }
    }
}

fn library() -> Shelf {
    let shelf = Shelf::new();
    for name in [
        "a/show/stream.mpd",
        "a/show/chunk-1.m4s",
        "a/show/video/1.mp4",
        "a/live/index.m3u8",
        "a/live/low.m3u8",
        "a/live/1.ts",
        "a.mp4",
        "b/cam/2024-05-06_07-08-09-1.mp4",
        "b/cam/2024-05-06_07-08-19-1.mp4",
        "b/cam/sub/x.mp4",
        "b/mixed/2024-05-06_07-08-09-1.mp4",
        "b/mixed/x.mpd",
        "b/nvr/2024-05-06/07/gate/08.09.mp4",
        "b/nvr/recording.toml",
        "b/day/2024-05-06/notes.txt",
        "b/day/2024-05-06/film.mkv",
        "b/x.txt",
        "top.mpd",
        "c/1.m4s",
    ] {
        let note = "file_pattern = \"%Y-%m-%d/%H/gate/%M.%S\"";
        shelf.write(name, if name.ends_with(".toml") { note } else { "" });
    }
    symlink("a", shelf.path("link")).expect("a link");
    shelf
}

#[test]
fn recordings_are_listed_in_order_and_in_pages() {
    let shelf = library();
    let expected: Vec<_> = [
        ("a/live/index.m3u8", Layout::Hls),
        ("a/live/low.m3u8", Layout::Hls),
        ("a/show/stream.mpd", Layout::Dash),
        ("b/cam", Layout::Folder),
        ("b/day/2024-05-06/film.mkv", Layout::File),
        ("b/mixed/x.mpd", Layout::Dash),
        ("b/nvr", Layout::Folder),
        ("top.mpd", Layout::Dash),
    ]
    .map(|(uid, layout)| (uid.to_owned(), layout))
    .into();
    for limit in 1..10 {
        assert_eq!(all(&shelf.library, "", limit), expected, "pages of {limit}");
        assert_eq!(all(&shelf.library, "b", limit), expected[3..7], "pages of {limit}");
    }
    fs::remove_file(shelf.path("top.mpd")).expect("a file");
    assert_eq!(all(&shelf.library, "", 100).len(), 8, "a.mp4 is in the place of top.mpd");
    // What a page comes after need not be there.
    let page = shelf.library.list("", Some("b/cama"), 1).expect("a page");
    assert_eq!(
        (page.sources[0].uid.as_str(), page.next.as_deref()),
        ("b/day/2024-05-06/film.mkv", Some("b/day/2024-05-06/film.mkv"))
    );
    for wrong in ["../x", "/", "link", "a.mp4", "none"] {
        assert!(shelf.library.list(wrong, None, 1).is_err(), "{wrong}");
    }
}

#[test]
fn many_folders_take_many_pages() {
    let shelf = Shelf::new();
    for number in 0..4500 {
        fs::create_dir_all(shelf.path(&format!("x/{number:04}"))).expect("a folder");
    }
    shelf.write("x/4400/film.mp4", "");
    let first = shelf.library.list("", None, 10).expect("a page");
    assert!(first.sources.is_empty() && first.next.is_some());
    assert_eq!(all(&shelf.library, "", 10), [("x/4400/film.mp4".to_owned(), Layout::File)]);
    let deep = "d/".repeat(30);
    shelf.write(&format!("{deep}film.mp4"), "");
    assert_eq!(all(&shelf.library, "d", 10), []);
}

#[test]
fn coverage_comes_in_pages_and_looks_into_little() {
    let shelf = Shelf::new();
    shelf.ffmpeg(2, "-shortest a.mp4");
    let file = fs::read(shelf.path("a.mp4")).expect("a file");
    // An hour: two files of two seconds, then two seconds of nothing.
    for number in 0..1200 {
        let seconds = number / 2 * 6 + number % 2 * 2;
        let name = format!("cam/2024-05-06_{:02}-{:02}-{:02}.mp4", seconds / 3600, seconds / 60 % 60, seconds % 60);
        match number {
            0 | 1199 => drop(shelf.write(&name, &file)),
            _ => fs::hard_link(shelf.path("a.mp4"), shelf.path(&name)).expect("a link"),
        }
    }
    let options = LibraryOptions { file_pattern: "%Y-%m-%d_%H-%M-%S".into(), time_zone: None };
    let library = Library::with_options(&shelf.path(""), options).expect("a library");
    let recording = shelf.recording_of(&library, "cam").expect("a recording");
    let whole = recording.range();
    let page = shelf.coverage(&recording, whole, 10);
    assert_eq!((page.spans.len(), page.gaps.len()), (10, 10));
    let next = page.next.expect("more");
    let rest = shelf.coverage(&recording, TimeRange::new(next, whole.end), 5);
    assert_eq!(rest.spans[0].start, next);
    assert_eq!(
        page.spans[3],
        TimeRange::new(
            whole.start.saturating_add_nanos(18_000_000_000),
            whole.start.saturating_add_nanos(22_000_000_000)
        )
    );
    // A page ends, too, where too many files were looked into.
    let large = shelf.coverage(&recording, whole, 1000);
    assert!(large.next.is_some() && large.spans.len() < 100, "{} spans", large.spans.len());
}

#[test]
fn a_month_of_small_files() {
    let shelf = Shelf::new();
    shelf.ffmpeg(2, "-shortest a.mp4");
    fs::create_dir(shelf.path("cam")).expect("a folder");
    let start = 1_714_521_600;
    // As many as a file may have names.
    const FILES: i64 = 60_000;
    for number in 0..FILES {
        fs::hard_link(shelf.path("a.mp4"), shelf.path(&format!("cam/{}.mp4", start + 2 * number))).expect("a link");
    }
    let options = LibraryOptions { file_pattern: "%s".into(), time_zone: None };
    let library = Library::with_options(&shelf.path(""), options).expect("a library");
    for look in ["first", "second"] {
        let began = Instant::now();
        let recording = shelf.recording_of(&library, "cam").expect("a recording");
        println!("{FILES} files: {look} look in {:?}", began.elapsed());
        assert_eq!(recording.range().duration().as_secs(), 2 * FILES as u64);
    }
}
