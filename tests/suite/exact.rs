//! Frame-exactness: clips at random marks hold exactly the frames between them, evenly spaced, with sound in its place, and
//! what was copied is the source's own, bit by bit.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::{Arc, Mutex},
};

use e2e::{
    audio::{self, AAC_FRAME, SAMPLE_RATE, SLOT},
    fixtures::{self, Fixture},
    frames,
    harness::{Server, spec},
    mp4_conformance, slices, ts_conformance,
};
use futures_util::{StreamExt, stream};
use protocol::export::v1::{Container, Export};

/// Windows to try: enough that each layout meets each coding and container several times.
const WINDOWS: usize = 200;
/// How many are cut at once.
const AT_ONCE: usize = 4;
/// Times in a file are rounded to its ticks, and shown by the reader to the nanosecond.
const ROUNDING: i64 = 100_000;
/// The layouts that the suite promises exactness for.
const LAYOUTS: [&str; 4] = ["dash", "hls_ts", "hls_fmp4", "mp4"];

/// The slices of a recording.
type Slices = Arc<HashSet<slices::Hash>>;

/// A part of a sample recording, and what to make of it.
pub(crate) struct Window {
    fixture: &'static Fixture,
    /// Milliseconds from frame 0.
    mark: u64,
    /// Milliseconds.
    duration: u64,
    container: Container,
}

impl Window {
    pub(crate) fn random(random: &mut fastrand::Rng, fixtures: &[&'static Fixture]) -> Self {
        let fixture = fixtures[random.usize(..fixtures.len())];
        let length = (fixture.frame_nanos(fixture.frames) / 1_000_000).unsigned_abs();
        let longest = [200, 3_000, 9_000][random.usize(..3)];
        let duration = random.u64(40..longest);
        let container = [Container::Ts, Container::Mov, Container::Mp4][random.usize(..3)];
        Self { fixture, mark: random.u64(..length - duration), duration, container }
    }

    fn name(&self) -> String {
        format!(
            "{} from {} ms for {} ms as {}",
            self.fixture.uid,
            self.mark,
            self.duration,
            self.container.as_str_name()
        )
    }

    /// The frames with mark-in <= t < mark-out.
    pub(crate) fn frames(&self) -> Vec<Option<u32>> {
        let (from, to) = (self.mark * 1_000_000, (self.mark + self.duration) * 1_000_000);
        let at = |number: u32| {
            let (num, den) = self.fixture.rate;
            u128::from(number) * u128::from(den) * 1_000_000_000 >= u128::from(from) * u128::from(num)
                && u128::from(number) * u128::from(den) * 1_000_000_000 < u128::from(to) * u128::from(num)
        };
        (0..self.fixture.frames).filter(|number| at(*number)).map(Some).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_windows_hold_exactly_their_frames() {
    let seed = e2e::seed();
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let wanted = |fixture: &&Fixture| LAYOUTS.contains(&fixture.layout.as_str()) && fixture.gap_ms.is_none();
    let fixtures: Vec<_> = fixtures::all().iter().filter(wanted).collect();
    let server = Server::start().await;
    let windows = (0..WINDOWS).map(|_| Window::random(&mut random, &fixtures));
    let windows: Vec<_> = windows.filter(|window| !window.frames().is_empty()).collect();
    stream::iter(windows)
        .for_each_concurrent(AT_ONCE, |window| {
            let server = &server;
            async move {
                check(server, window).await;
            }
        })
        .await;
}

/// Cuts a window, and looks whether the clip is what it should be; returns its export.
pub(crate) async fn check(server: &Server, window: Window) -> Export {
    let mut spec = spec(&window.fixture.uid, window.mark, window.duration);
    spec.container = window.container.into();
    let export = server.export(spec).await;
    let bytes = server.download(&export.id, 0).await.unwrap_or_else(|status| panic!("{}: {status}", window.name()));
    let path = server.scratch().join(&export.id);
    std::fs::write(&path, bytes).expect("the scratch folder can be written to");
    let check = tokio::task::spawn_blocking(move || {
        let zero = check_frames(&path, &window);
        check_copies(&path, &window, &export);
        check_sound(&path, &window, zero);
        check_conformance(&path, &window);
        std::fs::remove_file(&path).expect("it was there a moment ago");
        export
    });
    check.await.expect("the file is as it should be")
}

/// Returns when the first frame is shown on the file's clock, in nanoseconds.
fn check_frames(path: &Path, window: &Window) -> i64 {
    let video = frames::read(path).expect("ffmpeg reads it");
    assert_eq!(video.numbers(), window.frames(), "{}", window.name());
    // A single frame of sound is too little for ffmpeg to tell what it is; about the pictures it has no complaints.
    let complaints: Vec<_> = video.complaints.iter().filter(|line| !line.contains("Audio")).collect();
    assert!(complaints.is_empty() || window.duration < 200, "{}: {complaints:?}", window.name());
    let (num, den) = window.fixture.rate;
    let spacing = i64::from(den) * 1_000_000_000 / i64::from(num);
    for pair in video.frames.windows(2) {
        let apart = video.nanos(&pair[1]) - video.nanos(&pair[0]);
        assert!((apart - spacing).abs() < ROUNDING, "{}: {apart} ns after {:?}", window.name(), pair[0]);
    }
    video.nanos(&video.frames[0])
}

/// All but the frames that are said to be encoded are the source's.
fn check_copies(path: &Path, window: &Window, export: &Export) {
    let result = export.result.as_ref().expect("it has succeeded");
    let source = slices_of(window.fixture);
    let clip = slices::read(path).expect("ffmpeg reads it");
    let copied = clip.iter().filter(|slice| source.contains(*slice)).count();
    assert_eq!(copied as i64, result.frames - result.encoded_frames, "{}", window.name());
    assert_eq!(clip.len() as i64, result.frames, "{}", window.name());
    if window.fixture.encoding.starts_with("closed") {
        let most = i64::from(window.fixture.gop) + 4;
        assert!(result.encoded_frames < most, "{}: {} frames encoded", window.name(), result.encoded_frames);
    }
}

/// The slices of a recording, read once.
fn slices_of(fixture: &'static Fixture) -> Slices {
    static READ: Mutex<BTreeMap<&str, Slices>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().expect("no test panics while it reads");
    let known = read.entry(&fixture.uid);
    let slices = || Arc::new(slices::read(&fixture.path()).expect("ffmpeg reads it").into_iter().collect());
    known.or_insert_with(slices).clone()
}

/// The file keeps the rules of its format.
fn check_conformance(path: &Path, window: &Window) {
    let violations = match window.container {
        Container::Ts => ts_conformance::check(path).expect("it can be read"),
        _ => mp4_conformance::check(path).expect("it can be read").violations,
    };
    assert_eq!(violations, Vec::<String>::new(), "{}", window.name());
}

/// Sound is at its place to within a frame of it, from start to end.
fn check_sound(path: &Path, window: &Window, zero: i64) {
    if window.duration < 400 {
        // Not long enough to hold a mark for certain.
        return;
    }
    let sound = audio::read(path).expect("ffmpeg reads it");
    let first = i64::from(window.frames()[0].expect("a number"));
    let start = window.fixture.frame_nanos(first as u32);
    assert!(sound.marks.len() as u64 >= window.duration / 100 - 3, "{}: {:?}", window.name(), sound.marks);
    assert_eq!(sound.stretches.len(), 1, "{}: {:?}", window.name(), sound.stretches);
    for mark in &sound.marks {
        let recorded = mark.slot * SLOT - start * SAMPLE_RATE / 1_000_000_000;
        let heard = mark.at - zero * SAMPLE_RATE / 1_000_000_000;
        assert!((recorded - heard).abs() < AAC_FRAME, "{}: slot {} {recorded} {heard}", window.name(), mark.slot);
    }
}
