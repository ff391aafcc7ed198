//! Runs the `ffmpeg` command and takes its output apart.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// What a run of ffmpeg gave.
pub(crate) struct Reading {
    /// Its standard output.
    pub(crate) bytes: Vec<u8>,
    /// What it said, line by line, each with its level in brackets.
    pub(crate) log: Vec<String>,
}

impl Reading {
    /// The lines that report an error.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let is_error = |line: &&String| ["[error]", "[fatal]", "[panic]"].iter().any(|level| line.contains(level));
        self.log.iter().filter(is_error).cloned().collect()
    }
}

/// Runs `ffmpeg` on `source`, with its timestamps as they are in the file, and its
/// pictures as they are coded, not turned.
pub(crate) fn ffmpeg<const N: usize>(source: &Path, arguments: [&str; N]) -> Result<Reading> {
    let first = ["-nostdin", "-nostats", "-hide_banner", "-loglevel", "level+info", "-copyts", "-noautorotate", "-i"];
    let output = Command::new("ffmpeg")
        .args(first.map(OsStr::new))
        .arg(source)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("ffmpeg could not be started; `make setup` installs it")?;
    let log = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect::<Vec<_>>();
    ensure!(output.status.success(), "ffmpeg could not read {}:\n{}", source.display(), log.join("\n"));
    Ok(Reading { bytes: output.stdout, log })
}

/// The value after `key` in a line such as `n: 3 pts:   1536 pts_time:0.12`.
pub(crate) fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(key)?;
    rest.split_ascii_whitespace().next()
}
