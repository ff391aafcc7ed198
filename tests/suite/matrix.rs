//! The matrix: layout × coding × sound × container × window. Whatever the plan accepts holds the guarantees of an export:
//! exact frames in order, evenly spaced, sound in its place, a clean decode, copies that are copies, tags that are kept, and
//! a file that conforms.
//!
//! `SEED=` replays a run, `CASES=` sets how many (a full run has 1,000 or more), `CASE='hls_ts/h264_open/aac mp4 1234 2000'`
//! runs a single one, and `KNOWN=run` runs those that aren't expected to pass yet too.

mod case;
mod checks;
mod measured;

use std::{collections::BTreeMap, sync::Mutex};

use case::{Case, Outcome};
use e2e::{
    harness::{Server, Setup},
    sample,
};
use futures_util::{StreamExt, stream};

/// Cases of a run in CI; they take about a minute on two cores, and another if their samples have to be made.
const CASES: usize = 24;
/// Cases to a sample: making one takes as long as some cuts of it.
const PER_SAMPLE: usize = 4;
/// How many run at once.
const AT_ONCE: usize = 3;
/// What can't pass yet, and why: parts of a case's name, between asterisks. It must be empty in the end.
const KNOWN: [(&str, &str); 10] = [
    ("damage: flipped bits", "flipped bits that are copied aren't noticed"),
    ("clip_dash_gap", "in a TS, sound comes seconds before its time after a gap of DASH"),
    ("segments_mkv/", "MKV in a folder, whose clocks run on: frames are off, or said to be damaged"),
    ("mediamtx/", "where sound outlasts the picture of a file, the next file's frames come late, or its first is lost"),
    ("marks right behind frames of a folder", "as above: they come up to 2 ms late"),
    ("_vfr/* mp4", "the track's length and its last frame's are at odds"),
    ("_vfr/* mov", "the track's length and its last frame's are at odds"),
    ("_vfr/* ts", "PCRs are further apart than 100 ms where a frame lasts as long"),
    ("h264_long/mp3 ", "sound is planned to be copied, and dropped, where one segment holds it all"),
    ("h264_fake_interlaced/* ts", "frames that are coded as two fields are refused by the verification"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_the_plan_accepts_is_kept() {
    let seed = e2e::seed();
    println!("SEED={seed}");
    let cases = cases(&mut fastrand::Rng::with_seed(seed));
    let server = Setup::in_library(sample::library().unwrap()).start().await;
    let (failures, outcomes) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::<String, usize>::new()));
    let count = cases.len();
    stream::iter(cases)
        .for_each_concurrent(AT_ONCE, |case| {
            let (server, failures, outcomes) = (&server, &failures, &outcomes);
            async move {
                let name = match run(server, &case).await {
                    Ok(outcome) => outcome.to_string(),
                    Err(problem) => {
                        println!("CASE='{case}' {problem}");
                        failures.lock().unwrap().push(format!("CASE='{case}' {problem}"));
                        "failed".to_owned()
                    }
                };
                *outcomes.lock().unwrap().entry(name).or_default() += 1;
            }
        })
        .await;
    let outcomes = outcomes.into_inner().unwrap();
    println!("{count} cases: {outcomes:?}");
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "SEED={seed}: {} of {count} cases failed:\n{}", failures.len(), failures.join("\n"));
}

/// A case in a task of its own, so that a panic in a reader is a failure of the case, not of the run.
async fn run(server: &Server, case: &Case) -> Result<Outcome, String> {
    let sample = sample_of(case).await?;
    let window = case.window(&sample);
    let outcome = case::run(server, window).await;
    outcome.map_err(|problem| format!("{problem:#}").replace('\n', " "))
}

/// Whether a test with this name isn't expected to pass yet; says so.
pub(crate) fn is_known(name: &str) -> bool {
    let is_it = |pattern: &str| pattern.split('*').all(|part| name.contains(part));
    let reason = KNOWN.iter().find(|(pattern, _)| is_it(pattern)).map(|(_, reason)| reason);
    let runs = std::env::var("KNOWN").is_ok_and(|known| known == "run");
    if let Some(reason) = reason.filter(|_| !runs) {
        println!("left out: {name}: {reason}");
    }
    reason.is_some() && !runs
}

async fn sample_of(case: &Case) -> Result<sample::Sample, String> {
    let name = case.sample.clone();
    let made = tokio::task::spawn_blocking(move || sample::named(&name)).await;
    made.map_err(|panic| panic.to_string())?.map_err(|problem| format!("{problem:#}"))
}

fn cases(random: &mut fastrand::Rng) -> Vec<Case> {
    if let Ok(line) = std::env::var("CASE") {
        return vec![line.parse().expect("a case is a sample, a container, mark-in and length in ms")];
    }
    let names = sample::names().unwrap();
    let count = variable("CASES").unwrap_or(CASES as u64) as usize;
    let samples = std::iter::repeat_with(|| Case::sample(random, &names)).filter(|name| !is_known(name));
    let samples: Vec<_> = samples.take(count.div_ceil(PER_SAMPLE)).collect();
    let is_wanted = |case: &Case| !is_known(&case.to_string());
    std::iter::repeat_with(|| Case::random(random, &samples)).filter(is_wanted).take(count).collect()
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
