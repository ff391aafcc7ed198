//! Children as they should be: the real worker, in its sandbox.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use media::{
    ClipTask, Error, Limits, Opened, Outcome, Pool, PoolConfig, Sources, Task, ThumbnailTask, VideoTarget,
    time::{self, TimeRange, WallTime},
};
use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::{Pid, Signal, kill_process},
};

use super::{
    Fickle, Files, House, LIMITS, Patient, assert_crashed, assert_limit, eventually, input, make_clip, probe,
    processes_of,
};

#[test]
fn program_that_does_not_exist_is_said_so() {
    let house = House::new(Path::new("/nowhere/to/be/found"), "worker", 2);
    match house.run(&LIMITS) {
        Err(Error::Io(text)) => assert!(text.contains("No such file"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn spare_that_dies_is_replaced() {
    let house = House::real(2);
    eventually("two spares", || house.processes().len() == 2);
    let before = house.processes();
    for pid in &before {
        kill_process(*pid, Signal::KILL).unwrap();
    }
    eventually("two other spares", || {
        let now = house.processes();
        now.len() == 2 && now.iter().all(|pid| !before.contains(pid))
    });
}

#[test]
fn children_end_with_their_pool() {
    let House { pool, program, folder } = House::real(3);
    eventually("three spares", || processes_of(&program).len() == 3);
    drop(pool);
    assert_eq!(processes_of(&program), []);
    drop(folder);
}

/// Children of this process that are dead and that nobody has waited for.
fn zombies() -> usize {
    let own = format!("Z {}", std::process::id());
    let stats =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    stats.filter(|stat| stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with(&own))).count()
}

#[test]
fn no_child_is_left_unreaped() {
    let house = House::real(2);
    let file = house.folder.path().join("text.mp4");
    fs::write(&file, "this is no MP4").unwrap();
    let task = probe(&[file.to_str().unwrap()]);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let result = house.pool.run(&task, &Files, None, &LIMITS, &Patient);
                    assert!(matches!(result, Err(Error::Unusable(_))), "{result:?}");
                }
            });
        }
    });
    drop(house);
    // Those of other tests come and go.
    eventually("no zombies", || zombies() == 0);
}

#[test]
fn warm_child_has_given_up_its_rights() {
    let house = House::real(1);
    let status = |pid: &Pid| fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let is_closed = |status: &str| status.lines().any(|line| line.starts_with("Seccomp:\t2"));
    eventually("a closed sandbox", || house.processes().iter().any(|pid| is_closed(&status(pid))));
    let pid = house.processes()[0];
    let status = status(&pid);
    for line in ["Name:\tmedia-worker", "Threads:\t1", "NoNewPrivs:\t1", "CapPrm:\t0000000000000000"] {
        assert!(status.lines().any(|known| known == line), "{line:?} is not in\n{status}");
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = |name: &str| limits.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().nth_back(1);
    assert_eq!(limit("Max core file size"), Some("0"));
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim(), "1000");
}

/// Opens its sources and then kills who asked.
struct Deadly<'a>(&'a House);

impl Sources for Deadly<'_> {
    fn open(&self, name: &str) -> io::Result<Opened> {
        for pid in self.0.processes() {
            kill_process(pid, Signal::KILL)?;
        }
        Files.open(name)
    }
}

#[test]
fn kill_of_a_working_child_costs_the_attempt_only() {
    let house = House::real(0);
    let file = house.folder.path().join("clip.mp4");
    make_clip(&file, 1);
    let task = probe(&[file.to_str().unwrap()]);
    assert_crashed(house.pool.run(&task, &Deadly(&house), None, &LIMITS, &Patient), "SIGKILL");
    let Ok(Outcome::Probe(found)) = house.pool.run(&task, &Files, None, &LIMITS, &Patient) else {
        panic!("the next child is unharmed");
    };
    assert_eq!(found.tracks.iter().map(|track| &*track.codec).collect::<Vec<_>>(), ["h264", "aac"]);
    assert_eq!(found.duration, time::NANOS);
}

/// Encoders start threads and ask for much that a probe doesn't.
#[test]
fn every_task_finds_what_it_needs_in_the_sandbox() {
    let house = House::real(1);
    let source = house.folder.path().join("clip.mp4");
    make_clip(&source, 1);
    let input = input(&[source.to_str().unwrap()]);
    let at = WallTime::from_nanos(time::NANOS / 2);
    let thumbnail = Task::Thumbnail(ThumbnailTask { input: input.clone(), at, height: Some(90) });
    let picture = house.pool.run(&thumbnail, &Files, None, &LIMITS, &Patient);
    assert!(matches!(&picture, Ok(Outcome::Thumbnail(picture)) if picture.height == 90), "{picture:?}");
    for video in [VideoTarget::Keep, VideoTarget::H264, VideoTarget::H265] {
        let range = TimeRange::new(WallTime::from_nanos(time::NANOS / 5), at);
        let task = Task::Clip(ClipTask { video, ..ClipTask::new(input.clone(), range) });
        let output = tempfile::tempfile().unwrap();
        let limits = Limits { background: true, ..LIMITS };
        let clip = house.pool.run(&task, &Files, Some(&output), &limits, &Patient);
        let Ok(Outcome::Clip(report)) = clip else { panic!("{video:?}: {clip:?}") };
        assert_eq!(report.size_bytes, output.metadata().unwrap().len());
        assert!(report.frames > 0);
    }
}

/// Encodes all of `source`.
fn encode(source: &Path, seconds: i64) -> Task {
    let range = TimeRange::new(WallTime::EPOCH, WallTime::from_nanos(seconds * time::NANOS));
    let input = input(&[source.to_str().unwrap()]);
    Task::Clip(ClipTask { video: VideoTarget::H265, ..ClipTask::new(input, range) })
}

#[test]
fn cancelled_work_stops() {
    let house = House::real(1);
    let source = house.folder.path().join("clip.mp4");
    make_clip(&source, 60);
    let (control, output) = (Fickle::default(), tempfile::tempfile().unwrap());
    let result = house.pool.run(&encode(&source, 60), &Files, Some(&output), &LIMITS, &control);
    let took = control.at.lock().unwrap().unwrap().elapsed();
    assert_eq!(result, Err(Error::Cancelled));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn output_that_gets_too_big_is_a_limit() {
    let house = House::real(1);
    let source = house.folder.path().join("clip.mp4");
    make_clip(&source, 1);
    let output = tempfile::tempfile().unwrap();
    let limits = Limits { output_bytes: 1000, ..LIMITS };
    let result = house.pool.run(&encode(&source, 1), &Files, Some(&output), &limits, &Patient);
    assert_limit(result, "over 1000 bytes");
    assert!(output.metadata().unwrap().len() <= 1000);
}

#[test]
fn fifo_is_refused_at_once() {
    let house = House::real(1);
    let fifo = house.folder.path().join("fifo.mp4");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
    // Somebody has it open for writing and writes nothing.
    let _writer = File::options().read(true).write(true).open(&fifo).unwrap();
    let result = house.pool.run(&probe(&[fifo.to_str().unwrap()]), &Files, None, &LIMITS, &Patient);
    assert!(matches!(result, Err(Error::Unusable(_) | Error::Io(_))), "{result:?}");
}

#[test]
fn source_that_cannot_be_opened_is_named() {
    let house = House::real(1);
    let result = house.run(&LIMITS);
    assert!(matches!(&result, Err(Error::Unusable(text)) if text.contains("nothing: No such file")), "{result:?}");
}

/// Holds a pool until it is killed.
#[test]
#[ignore = "run by children_end_with_a_parent_that_is_killed"]
fn parent_to_be_killed() {
    let Some(program) = std::env::var_os("PARENT_OF") else { return };
    let _pool = Pool::new(PoolConfig { program: program.into(), warm: 2, ..PoolConfig::default() }).unwrap();
    println!("\nstarted");
    io::stdin().lines().for_each(drop);
}

#[test]
fn children_end_with_a_parent_that_is_killed() {
    let house = House::real(0);
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "pool::workers::parent_to_be_killed", "--ignored", "--nocapture"])
        .env("PARENT_OF", &house.program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "started"));
    eventually("two spares", || house.processes().len() == 2);
    parent.kill().unwrap();
    parent.wait().unwrap();
    let killed = Instant::now();
    house.assert_empty();
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
}
