//! `make bench`: what an export costs, as a ratio against a named peer in the same run. Each figure is the median of pairs
//! that take turns, so that a machine that changes its pace changes both.

mod index;
mod smart;

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{
    fixtures,
    harness::{Server, Setup, spec},
};
use protocol::export::v1::{Container, Cut, Export, ExportSpec, GetThumbnailRequest, VideoCodec};

/// Pairs that count; one more goes before them and doesn't.
const PAIRS: usize = 7;
/// Pairs where one of the two takes minutes.
const SLOW_PAIRS: usize = 1;
const UID: &str = "source.mp4";

#[tokio::main]
async fn main() -> Result<()> {
    let library = fixtures::bench_dir()?;
    let source = library.join(UID);
    let server = Setup::in_library(library).start().await;
    let folder = server.scratch();
    println!(
        "128 s of ten minutes of 1080p; medians of {PAIRS} pairs; `a / b` below 1 means that the suite is faster\n"
    );
    println!("{:44} {:>9} {:>9} {:>7}   cpu s: suite, peer", "what, against what", "suite", "peer", "a / b");

    let mut key = 0;
    for (name, container, extension) in [
        ("copy to MP4", Container::Mp4, "mp4"),
        ("copy to MOV", Container::Mov, "mov"),
        ("copy to TS", Container::Ts, "ts"),
    ] {
        let target = folder.join(format!("peer.{extension}"));
        let pairs = pairs(
            PAIRS,
            async || {
                key += 1;
                clip(&server, copy(container, key)).await.map(drop)
            },
            async || run("ffmpeg", &ffmpeg_copy(&source, &target)),
            &server,
        )
        .await?;
        pairs.print(&format!("{name}, ffmpeg -ss -t -c copy"));
    }

    let clip_file = folder.join("clip.mp4");
    std::fs::write(&clip_file, server.download(&clip(&server, copy(Container::Mp4, 0)).await?.id, 0).await?)?;
    let copied = folder.join("copied.mp4");
    let cp = vec![clip_file.display().to_string(), copied.display().to_string()];
    let against_cp = pairs(
        PAIRS,
        async || {
            key += 1;
            clip(&server, copy(Container::Mp4, key)).await.map(drop)
        },
        async || run("cp", &cp),
        &server,
    )
    .await?;
    against_cp.print("copy to MP4, cp of the same bytes");

    let still = folder.join("peer.jpg");
    let thumbnails = pairs(
        PAIRS,
        async || thumbnail(&server, 301_000).await,
        async || run("ffmpeg", &ffmpeg_still(&source, &still)),
        &server,
    )
    .await?;
    thumbnails.print("first frame at 05:01, ffmpeg -ss -frames:v 1");

    smart::measure(&server, &source, "H.264", VideoCodec::H264).await?;
    smart::measure(&server, &source.with_file_name("source_hevc.mp4"), "HEVC", VideoCodec::H265).await?;
    index::measure().await?;
    Ok(())
}

fn copy(container: Container, key: usize) -> ExportSpec {
    let file_name = format!("copy-{key}");
    ExportSpec { container: container.into(), cut: Cut::Keyframe.into(), file_name, ..spec(UID, 100_000, 128_000) }
}

/// Asks for a clip, and waits until it is published.
async fn clip(server: &Server, spec: ExportSpec) -> Result<Export> {
    let export = server.export(spec).await;
    ensure!(export.result.is_some(), "{export:?}");
    Ok(export)
}

async fn thumbnail(server: &Server, millis: u64) -> Result<()> {
    let mark = Some(e2e::harness::lasting(Duration::from_millis(millis)));
    let request = GetThumbnailRequest { uid: UID.to_owned(), mark, ..GetThumbnailRequest::default() };
    let picture = server.client().get_thumbnail(request).await?.into_inner();
    ensure!(picture.height == 1080, "{} x {}", picture.width, picture.height);
    Ok(())
}

fn ffmpeg_copy(source: &Path, target: &Path) -> Vec<String> {
    let text = |path: &Path| path.display().to_string();
    let arguments = ["-v", "error", "-y", "-ss", "100", "-t", "128", "-i"].map(str::to_owned);
    arguments.into_iter().chain([text(source), "-c".into(), "copy".into(), text(target)]).collect()
}

fn ffmpeg_still(source: &Path, target: &Path) -> Vec<String> {
    let text = |path: &Path| path.display().to_string();
    let arguments = ["-v", "error", "-y", "-ss", "301", "-i"].map(str::to_owned);
    arguments.into_iter().chain([text(source), "-frames:v".into(), "1".into(), text(target)]).collect()
}

fn run(program: &str, arguments: &[String]) -> Result<()> {
    let status = Command::new(program).args(arguments).status().with_context(|| program.to_owned())?;
    ensure!(status.success(), "{program}: {status}");
    Ok(())
}

/// What pairs of runs took, in seconds.
#[derive(Default)]
struct Pairs {
    walls: Vec<(f64, f64)>,
    cpus: Vec<(f64, f64)>,
}

async fn pairs(
    count: usize,
    mut suite: impl AsyncFnMut() -> Result<()>,
    mut peer: impl AsyncFnMut() -> Result<()>,
    server: &Server,
) -> Result<Pairs> {
    let mut pairs = Pairs::default();
    for round in 0..=count {
        let a = measured(server, &mut suite).await?;
        let b = measured(server, &mut peer).await?;
        // The first pair warms the caches, unless there is only one.
        if round > 0 || count == 1 {
            pairs.walls.push((a.0, b.0));
            pairs.cpus.push((a.1, b.1));
        }
        if count == 1 {
            break;
        }
    }
    Ok(pairs)
}

/// Wall time, and processor time of the server, its children and ours.
async fn measured(server: &Server, work: &mut impl AsyncFnMut() -> Result<()>) -> Result<(f64, f64)> {
    let (cpu, start) = (cpu_time(server)?, Instant::now());
    work().await?;
    let wall = start.elapsed().as_secs_f64();
    Ok((wall, cpu_time(server)? - cpu))
}

/// Processor time used by the server and its ended children, and by the ended children of this process.
fn cpu_time(server: &Server) -> Result<f64> {
    let ticks = |path: String, fields: &[usize]| -> Result<f64> {
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        // proc(5): the fields after the program's name, which is in brackets; the first of them is the third of all.
        let after = text.rsplit_once(')').context("/proc has another format")?.1;
        let fields = fields
            .iter()
            .map(|field| after.split_whitespace().nth(field - 3).and_then(|ticks| ticks.parse::<f64>().ok()));
        Ok(fields.map(Option::unwrap_or_default).sum::<f64>() / 100.0)
    };
    let own = ticks("/proc/self/stat".into(), &[16, 17])?;
    Ok(own + ticks(format!("/proc/{}/stat", server.pid()), &[14, 15, 16, 17])?)
}

impl Pairs {
    fn print(&self, name: &str) {
        let median = |values: Vec<f64>| {
            let mut values = values;
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let a = median(self.walls.iter().map(|pair| pair.0).collect());
        let b = median(self.walls.iter().map(|pair| pair.1).collect());
        let ratio = median(self.walls.iter().map(|pair| pair.0 / pair.1).collect());
        let cpu = |pick: fn(&(f64, f64)) -> f64| median(self.cpus.iter().map(pick).collect());
        println!("{name:44} {a:8.3}s {b:8.3}s {ratio:7.2}   {:.2}, {:.2}", cpu(|pair| pair.0), cpu(|pair| pair.1));
    }
}
