//! What ffprobe says of a file's tracks, as far as an export must keep it.

use std::path::Path;

use serde_json::Value;

use crate::samples::ffprobe;

/// Properties of the video that are kept, whether it is copied or cut. `unknown` is what a file without them has.
const VIDEO: [&str; 8] = [
    "width",
    "height",
    "pix_fmt",
    "sample_aspect_ratio",
    "color_range",
    "color_space",
    "color_transfer",
    "color_primaries",
];

/// The video's properties, by name.
pub(super) fn video(path: &Path) -> Vec<(&'static str, String)> {
    let probed = ffprobe(path);
    let Some(video) = track(&probed, "video", 0) else { return Vec::new() };
    VIDEO.iter().map(|name| (*name, text(&video[*name]))).collect()
}

/// How the video is to be turned when it is shown, in degrees.
pub(super) fn rotation(path: &Path) -> i64 {
    let probed = ffprobe(path);
    let data = track(&probed, "video", 0).and_then(|video| video["side_data_list"].as_array().cloned());
    data.into_iter().flatten().find_map(|data| data["rotation"].as_i64()).unwrap_or(0)
}

/// Codec of the video.
pub(super) fn codec(path: &Path) -> String {
    track(&ffprobe(path), "video", 0).map_or_else(String::new, |video| text(&video["codec_name"]))
}

/// The languages of the sound, track by track; `und` where none is stated.
pub(super) fn languages(path: &Path) -> Vec<String> {
    let probed = ffprobe(path);
    let language = |track: Value| track["tags"]["language"].as_str().unwrap_or("und").to_owned();
    (0..).map_while(|number| track(&probed, "audio", number)).map(language).collect()
}

fn track(probed: &Value, kind: &str, number: usize) -> Option<Value> {
    let tracks = probed["streams"].as_array()?;
    tracks.iter().filter(|track| track["codec_type"] == kind).nth(number).cloned()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) if text == "N/A" => "unknown".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
