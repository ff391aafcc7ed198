//! How long it takes to find a range in a month of two-second segments, and what the index weighs.

use std::{fmt::Write, fs, path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use e2e::{
    fixtures,
    harness::{Server, Setup, spec},
};
use protocol::export::v1::CreateExportRequest;

/// Segments in thirty days.
const SEGMENTS: u64 = 30 * 24 * 60 * 60 / 2;
/// Segments of the sample, which come again and again.
const SAMPLE: u64 = 30;
const LOOKS: usize = 51;
/// What the index of the month may weigh (issue 3).
const MOST_BYTES: u64 = 200 << 20;

/// Plans clips of ten seconds: the first look reads the playlist, the next don't. A plan of the sample alone, beside them,
/// says how much of it is something else than the look.
pub(crate) async fn measure() -> Result<()> {
    let server = Setup::new().own_library().start().await;
    lay_out(server.library(), "sample", SAMPLE)?;
    lay_out(server.library(), "month", SEGMENTS)?;
    // The first plan of all starts what plans need.
    plan(&server, "sample/index.m3u8", 1_000).await?;
    let small = looks(&server, "sample/index.m3u8", SAMPLE).await?;
    let before = memory(&server)?;
    let start = Instant::now();
    plan(&server, "month/index.m3u8", 1_000).await?;
    let first = start.elapsed().as_secs_f64();
    let next = looks(&server, "month/index.m3u8", SEGMENTS).await?;
    let weight = memory(&server)?.saturating_sub(before);
    println!("\na plan of 10 s, of a month in {SEGMENTS} segments (HLS), and of a minute");
    println!("  first look {first:8.3} s");
    println!("  next looks {:8.1} ms, of a minute {:.1} ms (medians of {LOOKS})", next * 1e3, small * 1e3);
    println!("  memory     {:8.1} MB", weight as f64 / 1e6);
    ensure!(weight < MOST_BYTES, "the index weighs {weight} bytes, more than {MOST_BYTES}");
    Ok(())
}

/// The sample's segments, again and again.
fn lay_out(library: &Path, name: &str, segments: u64) -> Result<()> {
    let folder = library.join(name);
    fs::create_dir(&folder)?;
    let sample = fixtures::named("hls_ts_closed_b0/index.m3u8").path();
    for entry in fs::read_dir(sample.parent().context("it lies in a folder")?)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "ts") {
            fs::hard_link(entry.path(), folder.join(entry.file_name())).or_else(|_| {
                // Another file system.
                fs::copy(entry.path(), folder.join(entry.file_name())).map(drop)
            })?;
        }
    }
    let mut playlist = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n".to_owned();
    playlist.push_str("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n");
    for number in 0..segments {
        if number > 0 && number % SAMPLE == 0 {
            playlist.push_str("#EXT-X-DISCONTINUITY\n");
        }
        writeln!(playlist, "#EXTINF:2.000000,\n{:05}.ts", number % SAMPLE)?;
    }
    playlist.push_str("#EXT-X-ENDLIST\n");
    fs::write(folder.join("index.m3u8"), playlist)?;
    Ok(())
}

/// The median of plans at places all over the recording, in seconds.
async fn looks(server: &Server, uid: &str, segments: u64) -> Result<f64> {
    let mut taken = Vec::new();
    for look in 0..LOOKS as u64 {
        // Steps that share no factor with the number of segments reach everywhere.
        let segment = look * 7_919_993 % (segments - 6);
        let start = Instant::now();
        plan(server, uid, segment * 2_000 + 500).await?;
        taken.push(start.elapsed().as_secs_f64());
    }
    taken.sort_by(f64::total_cmp);
    Ok(taken[LOOKS / 2])
}

async fn plan(server: &Server, uid: &str, mark: u64) -> Result<()> {
    let spec = Some(spec(uid, mark, 10_000));
    let request = CreateExportRequest { spec, validate_only: true, ..CreateExportRequest::default() };
    let plan = server.client().create_export(request).await?.into_inner().plan.context("no plan")?;
    ensure!(plan.frames > 0, "{plan:?}");
    Ok(())
}

/// Resident memory of the server, in bytes.
fn memory(server: &Server) -> Result<u64> {
    let path = format!("/proc/{}/status", server.pid());
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
