//! Tells coded video apart, picture by picture: what was copied is the same to the last bit, what was encoded again is not.

use std::path::Path;

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::reader::ffmpeg;

/// SHA-256 of one coded slice.
pub type Hash = [u8; 32];

/// The H.264 slices of a file in the order of decoding, whatever its container. The samples have one slice to a picture.
pub fn read(path: &Path) -> Result<Vec<Hash>> {
    read_coded(path, Codec::H264)
}

/// A codec whose pictures consist of NAL units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    Hevc,
}

/// The slices of a file in the order of decoding, whatever its container.
pub fn read_coded(path: &Path, codec: Codec) -> Result<Vec<Hash>> {
    let (filter, format, is_slice): (_, _, fn(&[u8]) -> bool) = match codec {
        Codec::H264 => ("h264_mp4toannexb", "h264", is_slice),
        Codec::Hevc => ("hevc_mp4toannexb", "hevc", is_hevc_slice),
    };
    let reading = ffmpeg(path, ["-map", "0:v:0", "-c", "copy", "-bsf:v", filter, "-f", format, "-"])?;
    Ok(nal_units(&reading.bytes).filter(|nal| is_slice(nal)).map(|nal| Sha256::digest(nal).into()).collect())
}

/// The NAL units of a byte stream (ITU-T H.264 Annex B), without start codes and the zeros around them.
fn nal_units(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts: Vec<_> =
        bytes.windows(3).enumerate().filter(|(_, code)| *code == [0, 0, 1]).map(|(at, _)| at).collect();
    let ends: Vec<_> = starts.iter().skip(1).copied().chain([bytes.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| trim_zeros(&bytes[start + 3..end]))
}

/// A slice of a non-IDR (1) or of an IDR picture (5).
fn is_slice(nal: &[u8]) -> bool {
    nal.first().is_some_and(|header| matches!(header & 31, 1 | 5))
}

/// nal_unit_type below 32 is a slice segment (ITU-T H.265 table 7-1).
fn is_hevc_slice(nal: &[u8]) -> bool {
    nal.first().is_some_and(|header| header >> 1 & 63 < 32)
}

fn trim_zeros(nal: &[u8]) -> &[u8] {
    let length = nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &nal[..length]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn layouts_of_one_master_hold_the_same_slices() {
        for encoding in ["closed_b0", "closed_b3", "open_b3"] {
            let file = fixtures::named(&format!("mp4_{encoding}.mp4"));
            let slices = read(&file.path()).unwrap();
            assert_eq!(slices.len(), file.frames as usize);
            for fixture in fixtures::all().iter().filter(|f| f.encoding == encoding && f.gap_ms.is_none()) {
                assert_eq!(read(&fixture.path()).unwrap(), slices, "{}", fixture.uid);
            }
        }
    }
}
