//! Recordings that a test lays into a library of its own, made of the sample recordings.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use e2e::{fixtures, frames, harness::Server, mp4_conformance, ts_conformance};
use serde_json::Value;

use crate::matrix::is_known;

/// Where each sample recording with a wall clock begins, in milliseconds since 1970.
pub(crate) const ORIGIN: i64 = 1_767_727_476_000;
/// Frames per second of the samples called `closed_b0`.
pub(crate) const RATE: i64 = 25;

/// Copies a sample recording, with all that lies in its folder, to `name` in the server's library.
pub(crate) fn copy(server: &Server, uid: &str, name: &str) -> PathBuf {
    let (from, to) = (fixtures::named(uid).path(), server.library().join(name));
    let folder = to.parent().expect("it lies in the library");
    fs::create_dir_all(folder).unwrap();
    if uid.contains('/') {
        for entry in fs::read_dir(from.parent().expect("it lies in a folder")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        fs::rename(folder.join(from.file_name().expect("it is a file")), &to).unwrap();
    } else {
        fs::copy(from, &to).unwrap();
    }
    to
}

/// Copies an HLS recording, and changes its playlist.
pub(crate) fn edited_playlist(server: &Server, uid: &str, name: &str, edit: impl FnOnce(String) -> String) {
    let path = copy(server, uid, name);
    let playlist = fs::read_to_string(&path).unwrap();
    fs::write(path, edit(playlist)).unwrap();
}

/// Writes bytes to a file of the test's own, to be read by other programs.
pub(crate) fn write(server: &Server, name: &str, bytes: &[u8]) -> PathBuf {
    let path = server.scratch().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// The numbers of the frames in a file that no decoder complains about, and that keeps the rules of its format.
pub(crate) fn numbers(path: &Path) -> Vec<i64> {
    let name = path.file_name().expect("it is a file").to_string_lossy();
    let violations = match path.extension().and_then(|extension| extension.to_str()) {
        _ if is_known(&name) => Vec::new(),
        Some("ts") => ts_conformance::check(path).unwrap(),
        Some("mp4" | "mov") => mp4_conformance::check(path).unwrap().violations,
        _ => Vec::new(),
    };
    assert_eq!(violations, Vec::<String>::new(), "{}", path.display());
    let video = frames::read(path).unwrap();
    assert_eq!(video.complaints, Vec::<String>::new(), "{}", path.display());
    video.numbers().into_iter().map(|number| i64::from(number.expect("its blocks can be read"))).collect()
}

/// What ffprobe says of a file's container and tracks.
pub(crate) fn ffprobe(path: &Path) -> Value {
    let arguments = ["-v", "error", "-show_format", "-show_streams", "-of", "json"];
    let output = Command::new("ffprobe").args(arguments).arg(path).output();
    let output = output.expect("ffprobe could not be started; `make setup` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
