//! Captions inside pictures (CEA-608 and CEA-708, ATSC A/53 part 4): x264 writes those of the frames that it is given, and
//! x265 has to have them written for it.

use std::collections::BTreeMap;

use ffmpeg_next as ff;

use super::{Packet, new_packet};

/// More caption bytes than a frame can have: 31 triplets.
const MAX_BYTES: usize = 31 * 3;
/// More frames than an encoder holds back.
const MAX_WAITING: usize = 512;
/// nal_unit_type of a slice is below this (ITU-T H.265 table 7-1).
const FIRST_NON_SLICE: u8 = 32;

/// Captions of frames that are inside an encoder of HEVC, by the time they are shown.
#[derive(Default)]
pub(super) struct Captions(BTreeMap<i64, Vec<u8>>);

impl Captions {
    /// Keeps the captions of a frame that is shown at `pts`.
    pub(super) fn keep(&mut self, frame: &ff::Frame, pts: i64) {
        // SAFETY: the frame is valid; libav keeps the pointer and the size of its side data together.
        let bytes = unsafe {
            let kind = ff::ffi::AVFrameSideDataType::AV_FRAME_DATA_A53_CC;
            let found = ff::ffi::av_frame_get_side_data(frame.as_ptr(), kind);
            if found.is_null() || (*found).data.is_null() {
                return;
            }
            std::slice::from_raw_parts((*found).data, (*found).size.min(MAX_BYTES)).to_vec()
        };
        if self.0.len() < MAX_WAITING && !bytes.is_empty() {
            self.0.insert(pts, bytes);
        }
    }

    /// The packet of the frame shown at its PTS, with the captions of that frame in it; `None` if it has none.
    pub(super) fn add(&mut self, packet: &Packet) -> Option<Packet> {
        let captions = self.0.remove(&packet.pts()?)?;
        let data = packet.data()?;
        let at = first_slice(data)?;
        let whole = [&data[..at], &sei(&captions), &data[at..]].concat();
        Some(new_packet(&whole, packet))
    }
}

/// Where the start code of the first slice is.
fn first_slice(data: &[u8]) -> Option<usize> {
    let starts = data.windows(4).enumerate().filter(|(_, bytes)| bytes[..3] == [0, 0, 1]);
    let slice = starts.into_iter().find(|(_, bytes)| bytes[3] >> 1 & 0x3f < FIRST_NON_SLICE)?.0;
    // A start code may have a zero more in front of it.
    Some(if slice > 0 && data[slice - 1] == 0 { slice - 1 } else { slice })
}

/// A NAL unit with the caption bytes of one frame (ITU-T H.265 §D.2.6), behind its start code.
fn sei(captions: &[u8]) -> Vec<u8> {
    let triplets = captions.len() / 3;
    let mut message = vec![0xb5, 0x00, 0x31];
    message.extend(b"GA94");
    message.extend([0x03, 0x40 | triplets as u8, 0xff]);
    message.extend(&captions[..triplets * 3]);
    message.push(0xff);
    // PREFIX_SEI_NUT, and user_data_registered_itu_t_t35.
    let mut unit = vec![0, 0, 0, 1, 39 << 1, 1];
    let mut zeros = 0;
    for byte in [4, message.len() as u8].into_iter().chain(message).chain([0x80]) {
        // Nothing in a unit may look like a start code (§7.4.2).
        if zeros >= 2 && byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        unit.push(byte);
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_go_before_the_first_slice_and_never_look_like_a_start_code() {
        let data = [0, 0, 0, 1, 0x40, 1, 9, 0, 0, 0, 1, 0x26, 1, 7];
        assert_eq!(first_slice(&data), Some(7));
        assert_eq!(first_slice(&data[..7]), None);
        let unit = sei(&[0xfc, 0, 0, 0, 0, 1]);
        assert!(unit[4..].windows(3).all(|bytes| bytes[..2] != [0, 0] || bytes[2] >= 3), "{unit:x?}");
    }
}
