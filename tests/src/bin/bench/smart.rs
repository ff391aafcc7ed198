//! Smart cut against smartcut (PyPI), which does the same and nothing else, and against encoding the whole range again.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use e2e::harness::{Server, spec};
use protocol::export::v1::{Container, ExportSpec, VideoCodec};

use crate::{PAIRS, SLOW_PAIRS, clip, pairs, run};

/// In milliseconds: between keyframes at both ends.
const MARK: u64 = 100_500;
const LENGTH: u64 = 128_200;

/// Runs the pairs for a recording in the library.
pub(crate) async fn measure(server: &Server, source: &Path, name: &str, codec: VideoCodec) -> Result<()> {
    let peer = smartcut()?;
    let uid = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let target = server.scratch().join("peer.mp4");
    let keep = format!("{},{}", MARK as f64 / 1e3, (MARK + LENGTH) as f64 / 1e3);
    let text = |path: &Path| path.display().to_string();
    let arguments = [text(source), text(&target), "--keep".to_owned(), keep];
    let mut key = 0;
    let mut exact = |video_codec: VideoCodec| {
        key += 1;
        ExportSpec {
            container: Container::Mp4.into(),
            video_codec: video_codec.into(),
            file_name: format!("{uid}-{key}.mp4"),
            ..spec(&uid, MARK, LENGTH)
        }
    };
    let against_peer = pairs(
        PAIRS,
        async || {
            let export = clip(server, exact(VideoCodec::Keep)).await?;
            let result = export.result.unwrap_or_default();
            // A fall-back to encoding would be compared with a cut.
            ensure!(result.encoded_frames < 200, "{} frames of {uid} were encoded", result.encoded_frames);
            Ok(())
        },
        async || run(&text(&peer), &arguments),
        server,
    )
    .await?;
    against_peer.print(&format!("EXACT from {name}, smartcut"));
    let (mut smart, mut whole) = (exact(VideoCodec::Keep), exact(codec));
    smart.file_name.insert_str(0, "smart-");
    whole.file_name.insert_str(0, "whole-");
    let against_encoding = pairs(
        SLOW_PAIRS,
        async || clip(server, smart.clone()).await.map(drop),
        async || clip(server, whole.clone()).await.map(drop),
        server,
    )
    .await?;
    against_encoding.print(&format!("EXACT from {name}, the range encoded as a whole"));
    Ok(())
}

/// The peer, as `setup.sh bench` installed it.
fn smartcut() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join(".tools/bench/bin/smartcut");
    ensure!(path.is_file(), "{} is missing: tests/tools/setup.sh bench installs it", path.display());
    Ok(path)
}
