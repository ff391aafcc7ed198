//! What is kept between two looks, told by what is read.

use std::{
    fmt::Write,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    ops::{ControlFlow, Range},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use media::{
    Opened,
    time::{TimeRange, WallTime},
};
use recordings::{Entry, Identity, Library, LibraryOptions, Recording, Store, Version};

use crate::shelf::{Shelf, unprobed};

/// A folder that counts the bytes that are read from it, and the entries that it lists.
#[derive(Debug)]
struct Counting {
    root: PathBuf,
    read: Arc<AtomicU64>,
}

impl Store for Counting {
    fn open(&self, name: &str) -> io::Result<Opened> {
        File::open(self.root.join(name)).map(Opened::Local)
    }

    fn list(&self, folder: &str, visit: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join(folder))? {
            let entry = entry?;
            self.read.fetch_add(1, Ordering::Relaxed);
            let name = entry.file_name().into_string().expect("UTF-8");
            let is_folder = entry.file_type()?.is_dir();
            if visit(Entry { name: &name, is_folder, size: 1, modified: WallTime::EPOCH }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn version(&self, name: &str) -> io::Result<Version> {
        let status = fs::metadata(self.root.join(name))?;
        let modified = WallTime::from_nanos(status.mtime() * 1_000_000_000 + status.mtime_nsec());
        let identity = Identity::Inode { device: status.dev(), inode: status.ino() };
        Ok(Version { size: status.len(), modified, identity })
    }

    fn read(&self, name: &str, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.root.join(name))?;
        file.seek(SeekFrom::Start(range.start))?;
        let mut bytes = Vec::new();
        file.take(range.end - range.start).read_to_end(&mut bytes)?;
        self.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

struct Counted {
    shelf: Shelf,
    library: Library,
    read: Arc<AtomicU64>,
}

impl Counted {
    fn new() -> Self {
        let (shelf, read) = (Shelf::new(), Arc::new(AtomicU64::new(0)));
        let store = Counting { root: shelf.path(""), read: read.clone() };
        let library = Library::new(Box::new(store), LibraryOptions::default()).expect("a library");
        Self { shelf, library, read }
    }

    /// The recording, and how many bytes were read for it.
    fn look(&self, uid: &str) -> (Recording, u64) {
        self.read.store(0, Ordering::Relaxed);
        let recording = self.library.recording(uid, &unprobed).expect("a recording");
        (recording, self.read.load(Ordering::Relaxed))
    }
}

/// Segments of two seconds from `first` on.
fn segments(range: Range<usize>) -> String {
    range.fold(String::new(), |mut text, number| {
        write!(text, "#EXTINF:2,\nsegment-{number:08}.ts\n").expect("text grows");
        text
    })
}

fn names(recording: &Recording) -> Vec<String> {
    recording.select(recording.range(), &unprobed).expect("a selection").input.sources
}

#[test]
fn what_has_not_changed_is_not_read_again() {
    let counted = Counted::new();
    let text = "#EXTM3U\n".to_owned() + &segments(0..50_000);
    counted.shelf.write("x.m3u8", &text).write("y.mpd", r#"<MPD mediaPresentationDuration="PT4S"><Period><AdaptationSet
        mimeType="video/mp4"><Representation id="v"><SegmentTemplate duration="2" media="$Number$.m4s"/></Representation>
        </AdaptationSet></Period></MPD>"#);
    for uid in ["x.m3u8", "y.mpd"] {
        let (first, read) = counted.look(uid);
        assert!(read >= fs::metadata(counted.shelf.path(uid)).expect("a file").len());
        let (second, read) = counted.look(uid);
        assert!(read <= 1024, "{read} bytes of {uid}");
        assert_eq!(first.range(), second.range());
    }
}

#[test]
fn of_a_playlist_that_has_grown_only_what_is_new_is_read() {
    for replaced in [false, true] {
        let counted = Counted::new();
        let head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";
        let mut count = 50_000;
        let mut text = head.to_owned() + &segments(0..count);
        counted.shelf.write("x.m3u8", &text);
        let (before, _) = counted.look("x.m3u8");
        for step in 1..20 {
            // Ends in the middle of a line, at times.
            let cut = if step % 3 == 0 { 7 } else { 0 };
            text += &segments(count..count + step);
            count += step;
            counted.shelf.write("next", &text[..text.len() - cut]);
            match replaced {
                true => fs::rename(counted.shelf.path("next"), counted.shelf.path("x.m3u8")).expect("a rename"),
                false => drop(fs::copy(counted.shelf.path("next"), counted.shelf.path("x.m3u8")).expect("a copy")),
            }
            let (recording, read) = counted.look("x.m3u8");
            assert!(read < 64 << 10, "{read} bytes");
            let expected = count - usize::from(cut > 0);
            assert_eq!(recording.range().duration().as_secs(), 2 * expected as u64, "step {step}");
            assert_eq!(names(&recording).len(), expected);
        }
        assert_eq!(names(&before).len(), 50_000, "what was given out stays as it was");
        counted.shelf.write("x.m3u8", text + "#EXT-X-ENDLIST");
        let (ended, read) = counted.look("x.m3u8");
        assert!(read < 64 << 10 && !ended.is_growing(), "{read} bytes");
    }
}

#[test]
fn a_sliding_playlist_is_read_anew() {
    let counted = Counted::new();
    for first in 0..50 {
        let text = format!("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{first}\n") + &segments(first..first + 6 + first % 3);
        counted.shelf.write("x.m3u8", text);
        let (recording, _) = counted.look("x.m3u8");
        assert_eq!(names(&recording)[0], format!("segment-{first:08}.ts"));
        assert_eq!(names(&recording).len(), 6 + first % 3);
    }
}

#[test]
fn folders_that_have_not_changed_are_not_listed_again() {
    let counted = Counted::new();
    counted.shelf.ffmpeg(2, "-shortest a.mp4");
    counted.shelf.write("cam/recording.toml", "file_pattern = \"%Y-%m-%d/%H-%M-%S\"");
    let file = fs::read(counted.shelf.path("a.mp4")).expect("a file");
    for day in 1..=3 {
        for second in 0..20 {
            counted.shelf.write(&format!("cam/2024-05-0{day}/00-00-{:02}.mp4", second * 2), &file);
        }
        // Done a while ago: what was written to a moment ago may be written to again in the same tick of the clock.
        let long_ago =
            fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000));
        let folder = File::open(counted.shelf.path(&format!("cam/2024-05-0{day}"))).expect("a folder");
        folder.set_times(long_ago).expect("a time");
    }
    let listed = || {
        counted.read.store(0, Ordering::Relaxed);
        let recording = counted.shelf.recording_of(&counted.library, "cam").expect("a recording");
        (recording, counted.read.load(Ordering::Relaxed))
    };
    let (first, read_first) = listed();
    let (_, read_second) = listed();
    assert!(read_second + 60 < read_first, "{read_first}, then {read_second}");
    counted.shelf.write("cam/2024-05-03/00-00-40.mp4", &file);
    let grown = listed().0.range();
    let added = TimeRange::new(first.range().end, grown.end).duration().as_secs();
    assert_eq!((first.range().start, added), (grown.start, 2));
}
