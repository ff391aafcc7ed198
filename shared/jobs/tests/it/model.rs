//! Random commands, and what must hold whatever they are (research: invariants I1, I2, I4, I5): what was acknowledged is
//! found and ends; a job has one outcome, which never changes; revision and epoch never go back, states follow the
//! allowed ways; what is cancelled is never done.
//!
//! `JOBS_SEED=<seed>` runs one history again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt;
use jobs::{AttemptError, Class, Error, Filter, Job, Lane, NewJob, Objects, Queue, Settings, State, Workers};
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{KIND, OWNER, Place, Scripted, Started, Starts, eventually, replicated};

const HISTORIES: u64 = 12;
const COMMANDS: usize = 150;

/// What one handle, standing for one process, has running.
struct Process {
    queue: Queue,
    runner: Arc<Scripted>,
    starts: Starts,
    workers: Workers,
    attempts: Vec<Started>,
}

/// What is known of the jobs from outside.
#[derive(Default)]
struct Model {
    /// By request id: the job, and the body it was made from.
    requests: HashMap<String, (Uuid, u64)>,
    /// Every acknowledged job that wasn't erased, as last seen.
    jobs: HashMap<Uuid, Option<Arc<Job>>>,
    erased: HashSet<Uuid>,
}

impl Model {
    fn see(&mut self, job: &Arc<Job>) {
        let last = self.jobs.get_mut(&job.id).expect("only what was acknowledged is seen");
        if let Some(before) = last {
            if before.revision >= job.revision {
                // Two processes: one may still show what the other has moved on from. At the end nothing follows.
                assert!(!before.state.is_final() || before.state == job.state, "{before:?} then {job:?}");
                return;
            }
            follows(before, job);
        }
        *last = Some(job.clone());
    }
}

/// Whether `after` may come, not necessarily next, after `before`.
fn follows(before: &Job, after: &Job) {
    assert!(!before.state.is_final(), "something follows an end: {before:?} then {after:?}");
    assert!(after.epoch >= before.epoch, "{before:?} then {after:?}");
    assert!(!before.cancel_requested || after.cancel_requested, "{before:?} then {after:?}");
    assert!(!before.cancel_requested || after.state != State::Succeeded, "{before:?} then {after:?}");
    assert!(after.crashes >= before.crashes && after.losses >= before.losses, "{before:?} then {after:?}");
    if after.epoch == before.epoch {
        assert!(after.progress.fraction >= before.progress.fraction, "{before:?} then {after:?}");
    }
    assert_eq!(after.outcome.is_some(), after.state == State::Succeeded, "{after:?}");
    assert_eq!(after.failure.is_some(), after.state == State::Failed, "{after:?}");
    assert_eq!(after.ended.is_some(), after.state.is_final(), "{after:?}");
    assert_eq!((&before.request, before.created, &before.owner), (&after.request, after.created, &after.owner));
}

async fn start(place: &Place) -> Process {
    let settings = Settings { copy_limit: 2, encode_limit: 1, max_queued: 12, ..replicated() };
    let queue = place.open(settings).await;
    let (runner, starts) = Scripted::new();
    let workers = queue.run_workers(vec![runner.clone()]);
    Process { queue, runner, starts, workers, attempts: Vec::new() }
}

/// A random way for an attempt to end.
fn ending(random: &mut fastrand::Rng, started: Started) {
    let class = match random.u8(0..10) {
        0 => Class::Input,
        1 | 2 => Class::Transient,
        3 => Class::Crash,
        4 => Class::Cancelled,
        _ => return started.succeed(),
    };
    started.finish(Err(AttemptError::new(class, "RANDOM", "at random")));
}

async fn submit(random: &mut fastrand::Rng, queue: &Queue, model: &mut Model) {
    let request_id = random.bool().then(|| format!("request {}", random.u8(0..20)));
    let body = random.u64(0..3);
    let lane = if random.bool() { Lane::Copy } else { Lane::Encode };
    let priority = random.i32(-1..=1);
    let new = NewJob { request_id: request_id.clone(), priority, ..NewJob::new(KIND, OWNER, lane, json!(body)) };
    let known = request_id.as_ref().and_then(|id| model.requests.get(id)).copied();
    match (queue.submit(new).await, known) {
        (Ok(submitted), None) => {
            assert!(submitted.created);
            model.jobs.insert(submitted.job.id, None);
            model.see(&submitted.job);
            if let Some(request_id) = request_id {
                model.requests.insert(request_id, (submitted.job.id, body));
            }
        }
        (Ok(submitted), Some((id, first_body))) => {
            assert_eq!((submitted.job.id, submitted.created, body), (id, false, first_body));
        }
        (Err(Error::RequestIdReused { .. }), Some((_, first_body))) => assert_ne!(body, first_body),
        (Err(Error::Full { .. }), None) => {}
        (answer, known) => panic!("{answer:?} although {known:?}"),
    }
}

async fn command(random: &mut fastrand::Rng, place: &Place, processes: &mut Vec<Process>, model: &mut Model) {
    let which = random.usize(0..processes.len());
    let some_job = random.choice(model.jobs.keys().copied().collect::<Vec<_>>());
    let process = &mut processes[which];
    while let Ok(started) = process.starts.try_recv() {
        process.attempts.push(started);
    }
    match (random.u8(0..20), some_job) {
        (0..=5, _) => submit(random, &process.queue, model).await,
        (6..=10, _) if !process.attempts.is_empty() => {
            let started = process.attempts.swap_remove(random.usize(0..process.attempts.len()));
            ending(random, started);
        }
        (11 | 12, Some(id)) => match process.queue.cancel(KIND, OWNER, &id.to_string()).await {
            Ok(job) => assert!(job.cancel_requested || job.state == State::Cancelled, "{job:?}"),
            Err(Error::Ended { state, .. }) => assert!(state.is_final() && state != State::Cancelled),
            Err(error) => panic!("{error}"),
        },
        (13, Some(id)) => {
            process.queue.delete(KIND, OWNER, &id.to_string()).await.unwrap();
            model.jobs.remove(&id);
            model.requests.retain(|_, (job, _)| *job != id);
            model.erased.insert(id);
        }
        (14, _) => place.clock.advance(Duration::from_secs(random.u64(0..20))),
        (15, _) => {
            // In good order, or as it comes: attempts whose test side is dropped panic.
            let process = processes.swap_remove(which);
            if random.bool() {
                assert!(process.workers.drain(Duration::ZERO).await);
            }
            processes.push(start(place).await);
        }
        (16, Some(id)) => {
            let mut watch = std::pin::pin!(process.queue.watch(KIND, OWNER, &id.to_string(), 0));
            model.see(&watch.next().await.expect("a snapshot").unwrap());
        }
        _ => tokio::time::sleep(Duration::from_millis(random.u64(0..8))).await,
    }
}

async fn observe(processes: &[Process], model: &mut Model) {
    for process in processes {
        let page = process.queue.list(KIND, OWNER, &Filter::default(), 500, "").await.unwrap();
        let listed: HashSet<_> = page.jobs.iter().map(|job| job.id).collect();
        assert_eq!(listed, model.jobs.keys().copied().collect(), "what was acknowledged, and no more");
        page.jobs.iter().for_each(|job| model.see(job));
    }
}

/// The faults are over: everything must come to its end.
async fn settle(process: &mut Process, model: &mut Model) {
    let Process { queue, starts, attempts, .. } = process;
    attempts.drain(..).for_each(Started::succeed);
    loop {
        let page = queue.list(KIND, OWNER, &Filter::default(), 500, "").await.unwrap();
        page.jobs.iter().for_each(|job| model.see(job));
        if page.jobs.iter().all(|job| job.state.is_final()) {
            return;
        }
        if let Ok(Some(started)) = tokio::time::timeout(Duration::from_millis(20), starts.recv()).await {
            started.succeed();
        }
    }
}

async fn history(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let place = Place::new();
    let mut model = Model::default();
    let mut processes = vec![start(&place).await, start(&place).await];
    for _ in 0..COMMANDS {
        command(&mut random, &place, &mut processes, &mut model).await;
        observe(&processes, &mut model).await;
    }
    let mut discarded: HashSet<(Uuid, Objects)> = HashSet::new();
    let mut last = processes.pop().expect("two are running");
    for process in processes {
        process.workers.drain(Duration::ZERO).await;
        discarded.extend(process.runner.discarded.lock().unwrap().iter());
    }
    crate::fixture::in_time("all jobs to end", settle(&mut last, &mut model)).await;
    eventually("all litter to go", async || {
        place.count("SELECT count(*) FROM jobs WHERE erased = 1 OR discarded < epoch").await == 0
    })
    .await;
    discarded.extend(last.runner.discarded.lock().unwrap().iter());
    for job in model.jobs.values() {
        let job = job.as_ref().expect("every job was seen");
        let winner = (job.id, Objects::OfAttempt(job.epoch));
        match job.state {
            State::Succeeded => {
                assert_eq!(job.outcome, Some(json!({ "epoch": job.epoch })), "of the newest attempt");
                assert!(!discarded.contains(&winner), "the result of {job:?} was removed");
            }
            State::Failed | State::Cancelled => assert!(job.outcome.is_none(), "{job:?}"),
            State::Queued | State::Running => panic!("{job:?} has not ended"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_hold_in_random_histories() {
    let seeds = match std::env::var("JOBS_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (0..HISTORIES).map(|_| fastrand::u64(..)).collect(),
    };
    for seed in seeds {
        println!("JOBS_SEED={seed}");
        history(seed).await;
    }
}
