//! How fast jobs are accepted and done on this machine's disk: `cargo run -p jobs --example throughput -- [folder]`.

use std::{
    error::Error,
    fs::File,
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jobs::{Attempt, AttemptError, Lane, NewJob, Objects, Queue, Runner, Settings, SystemClock};
use serde_json::{Value, json};
use uuid::Uuid;

const JOBS: u32 = 4_000;
const KIND: &str = "nothing";

/// Does nothing, at once.
struct Idle;

#[async_trait]
impl Runner for Idle {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, _: &Attempt) -> Result<Value, AttemptError> {
        Ok(json!({}))
    }

    async fn discard(&self, _: Uuid, _: Objects) -> Result<(), errors::BoxError> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(parent)?;
    println!("{:>10.0} syncs of the disk a second, for comparison", syncs(folder.path())?);
    for callers in [1, 8, 64] {
        let url = format!("sqlite://{}", folder.path().join(format!("{callers}.db")).display());
        let settings = Settings { max_queued_per_owner: JOBS, copy_limit: callers, ..Settings::default() };
        let queue = Queue::open(&url, settings, Arc::new(SystemClock::default())).await?;

        let started = Instant::now();
        submit_all(&queue, callers as u32).await?;
        println!(
            "{:>10.0} jobs accepted a second, {callers} callers",
            f64::from(JOBS) / started.elapsed().as_secs_f64()
        );

        let started = Instant::now();
        let workers = queue.run_workers(vec![Arc::new(Idle)]);
        while !queue.load().await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("{:>10.0} jobs done a second, {callers} places", f64::from(JOBS) / started.elapsed().as_secs_f64());
        workers.drain(Duration::ZERO).await;
        queue.close().await;
    }
    Ok(())
}

async fn submit_all(queue: &Queue, callers: u32) -> Result<(), Box<dyn Error>> {
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let queue = queue.clone();
        tasks.spawn(async move {
            for number in 0..JOBS / callers {
                let request_id = Some(format!("{caller} {number}"));
                let request = json!({ "uid": "news/2026-01-01.mpd", "number": number });
                queue.submit(NewJob { request_id, ..NewJob::new(KIND, "owner", Lane::Copy, request) }).await?;
            }
            Ok::<_, jobs::Error>(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

/// Small synced writes a second.
fn syncs(folder: &Path) -> std::io::Result<f64> {
    const WRITES: u32 = 200;
    let mut file = File::create(folder.join("sync"))?;
    let started = Instant::now();
    for _ in 0..WRITES {
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
    }
    Ok(f64::from(WRITES) / started.elapsed().as_secs_f64())
}
