//! What is H.264's (ITU-T H.264).

use h264_reader::{
    nal::{Nal, RefNal, sps::SeqParameterSet},
    rbsp::BitRead,
};

use super::{Access, CodingStyle, Role};
use crate::Error;

/// An access unit delimiter that allows slices of any type.
pub(super) const DELIMITER: [u8; 2] = [0x09, 0xf0];

/// nal_unit_type (table 7-1).
mod kind {
    pub(super) const SLICE: u8 = 1;
    pub(super) const IDR: u8 = 5;
    pub(super) const SEI: u8 = 6;
    pub(super) const SPS: u8 = 7;
    pub(super) const PPS: u8 = 8;
    pub(super) const DELIMITER: u8 = 9;
}

fn unit_kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |header| header & 0x1f)
}

pub(super) fn role(unit: &[u8]) -> Role {
    match unit_kind(unit) {
        kind::SPS => Role::Set(1),
        kind::PPS => Role::Set(2),
        kind::DELIMITER => Role::Delimiter,
        kind::SEI => Role::Sei,
        kind::SLICE..=kind::IDR => Role::Slice,
        _ => Role::Other,
    }
}

/// An I frame that isn't IDR keeps what came before in the decoder's memory and numbering: copying can't begin there
/// behind frames that are numbered otherwise.
pub(super) fn access(slice: &[u8]) -> Access {
    if unit_kind(slice) == kind::IDR { Access::Clean } else { Access::None }
}

/// How a stream with this sequence parameter set is coded.
///
/// # Errors
/// `Unusable` if it can't be read.
pub(super) fn style(sps: &[u8]) -> Result<CodingStyle, Error> {
    let unreadable = |what: String| Error::Unusable(format!("the sequence parameter set can't be read: {what}"));
    let parsed = SeqParameterSet::from_bits(RefNal::new(sps, &[], true).rbsp_bits())
        .map_err(|error| unreadable(format!("{error:?}")))?;
    Ok(CodingStyle {
        profile: sps.get(1).copied().unwrap_or_default(),
        level: sps.get(3).copied().unwrap_or_default(),
        references: parsed.max_num_ref_frames,
        interlaced: !matches!(parsed.frame_mbs_flags, h264_reader::nal::sps::FrameMbsFlags::Frames),
    })
}

/// The id of a parameter set.
pub(super) fn id(set: &[u8]) -> Option<u32> {
    let mut bits = RefNal::new(set, &[], true).rbsp_bits();
    if unit_kind(set) == kind::SPS {
        bits.skip(24, "profile, constraints, level").ok()?;
    }
    bits.read_ue("id").ok()
}
