//! What is HEVC's (ITU-T H.265).

use std::{io::Write, num::NonZeroUsize};

use h264_reader::rbsp::{BitRead, BitReader, BitWrite, BitWriter, ByteReader, ByteWriter};

use super::{Access, CodingStyle, Role};
use crate::Error;

/// An access unit delimiter that allows slices of any type.
pub(super) const DELIMITER: [u8; 3] = [0x46, 0x01, 0x50];
/// The next frame, if it is a keyframe, begins a sequence of its own (§7.4.2.4.4): a CRA frame behind it is numbered anew.
pub(super) const END_OF_SEQUENCE: [u8; 2] = [0x48, 0x01];

/// nal_unit_type (table 7-1).
mod kind {
    pub(super) const LAST_SLICE: u8 = 21;
    pub(super) const BLA: u8 = 16;
    pub(super) const IDR_N_LP: u8 = 20;
    pub(super) const LAST_IRAP: u8 = 23;
    pub(super) const VPS: u8 = 32;
    pub(super) const SPS: u8 = 33;
    pub(super) const PPS: u8 = 34;
    pub(super) const DELIMITER: u8 = 35;
    pub(super) const PREFIX_SEI: u8 = 39;
    pub(super) const SUFFIX_SEI: u8 = 40;
}

const HEADER: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");
/// Picture parameter set ids whose Exp-Golomb code is nine bits long. Our encoder calls its set 0, which takes one bit: in
/// a slice header, putting one of these in its place moves what follows by exactly a byte, and everything stays aligned.
pub(super) const NINE_BIT_IDS: std::ops::Range<u32> = 15..31;

fn unit_kind(unit: &[u8]) -> u8 {
    unit.first().map_or(63, |header| header >> 1 & 0x3f)
}

pub(super) fn role(unit: &[u8]) -> Role {
    match unit_kind(unit) {
        kind::VPS => Role::Set(0),
        kind::SPS => Role::Set(1),
        kind::PPS => Role::Set(2),
        kind::DELIMITER => Role::Delimiter,
        kind::PREFIX_SEI | kind::SUFFIX_SEI => Role::Sei,
        0..=kind::LAST_SLICE => Role::Slice,
        _ => Role::Other,
    }
}

pub(super) fn access(slice: &[u8]) -> Access {
    match unit_kind(slice) {
        kind::IDR_N_LP => Access::Clean,
        kind::BLA..=kind::LAST_IRAP => Access::Leading,
        _ => Access::None,
    }
}

type Bits<'a> = BitReader<ByteReader<&'a [u8]>>;

fn bits(unit: &[u8]) -> Bits<'_> {
    BitReader::new(ByteReader::skipping_bytes(unit, HEADER))
}

/// Copies `count` bits.
fn copy(from: &mut Bits<'_>, to: &mut impl BitWrite, count: u32) -> Option<()> {
    for _ in 0..count {
        to.write_bit(from.read_bit("copied").ok()?).ok()?;
    }
    Some(())
}

/// Bits of profile_tier_level (§7.3.3) for so many sub-layers less one; what is read to know that is passed on to `to`.
fn copy_profile(from: &mut Bits<'_>, to: &mut impl BitWrite, sub_layers: u32) -> Option<()> {
    copy(from, to, 96)?;
    let mut rest = 0;
    if sub_layers > 0 {
        for _ in 0..sub_layers {
            for bits in [88, 8] {
                let present = from.read_bit("present").ok()?;
                to.write_bit(present).ok()?;
                rest += if present { bits } else { 0 };
            }
        }
        copy(from, to, 2 * (8 - sub_layers))?;
    }
    copy(from, to, rest)
}

/// The id of a parameter set.
pub(super) fn id(set: &[u8]) -> Option<u32> {
    let mut bits = bits(set);
    match unit_kind(set) {
        kind::VPS => bits.read::<4, u32>("vps id").ok(),
        kind::SPS => {
            bits.skip(4, "vps id").ok()?;
            let sub_layers = bits.read::<3, u32>("sub-layers").ok()?;
            bits.skip(1, "nesting").ok()?;
            copy_profile(&mut bits, &mut BitWriter::new(std::io::sink()), sub_layers)?;
            bits.read_ue("sps id").ok()
        }
        _ => bits.read_ue("pps id").ok(),
    }
}

/// How a stream with this sequence parameter set is coded.
///
/// # Errors
/// `Unusable` if it can't be read.
pub(super) fn style(sps: &[u8]) -> Result<CodingStyle, Error> {
    let read = || {
        let mut bits = bits(sps);
        bits.skip(8 + 3, "ids, profile space and tier").ok()?;
        let profile = bits.read::<5, u8>("profile").ok()?;
        bits.skip(32, "compatibility").ok()?;
        let progressive = bits.read_bit("progressive").ok()?;
        let interlaced = bits.read_bit("interlaced").ok()?;
        bits.skip(46, "constraints").ok()?;
        let level = bits.read::<8, u8>("level").ok()?;
        Some(CodingStyle { profile, level, references: 0, interlaced: interlaced && !progressive })
    };
    read().ok_or_else(|| Error::Unusable("the sequence parameter set can't be read: it ends early".into()))
}

/// The ids that the sets of our encoder get, so that they go beside those of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(super) vps: u32,
    pub(super) sps: u32,
    pub(super) pps: u32,
}

impl Ids {
    /// `set` of our encoder under its new id.
    pub(super) fn rename_set(&self, set: &[u8]) -> Option<Vec<u8>> {
        let mut from = bits(set);
        let mut to = BitWriter::new(Vec::new());
        match unit_kind(set) {
            kind::VPS => {
                from.skip(4, "vps id").ok()?;
                to.write::<4, u32>(self.vps).ok()?;
            }
            kind::SPS => {
                from.skip(4, "vps id").ok()?;
                to.write::<4, u32>(self.vps).ok()?;
                let sub_layers = from.read::<3, u32>("sub-layers").ok()?;
                to.write::<3, u32>(sub_layers).ok()?;
                copy(&mut from, &mut to, 1)?;
                copy_profile(&mut from, &mut to, sub_layers)?;
                from.read_ue("sps id").ok()?;
                to.write_ue(self.sps).ok()?;
            }
            _ => {
                from.read_ue("pps id").ok()?;
                to.write_ue(self.pps).ok()?;
                from.read_ue("sps id").ok()?;
                to.write_ue(self.sps).ok()?;
            }
        }
        while from.has_more_rbsp_data("rest").ok()? {
            copy(&mut from, &mut to, 1)?;
        }
        to.write_rbsp_trailing_bits().ok()?;
        escaped(set.get(..2)?, &to.into_writer())
    }

    /// A slice of our encoder, calling its picture parameter set by its new id.
    pub(super) fn rename_slice(&self, slice: &[u8]) -> Option<Vec<u8>> {
        let is_irap = (kind::BLA..=kind::LAST_IRAP).contains(&unit_kind(slice));
        // first_slice_segment_in_pic_flag, and of keyframes no_output_of_prior_pics_flag.
        let before = if is_irap { 2 } else { 1 };
        let mut payload = Vec::with_capacity(slice.len());
        std::io::Read::read_to_end(&mut ByteReader::skipping_bytes(slice, HEADER), &mut payload).ok()?;
        let first = *payload.first()?;
        let is_zero = first >> (7 - before) & 1 == 1;
        if !is_zero || !NINE_BIT_IDS.contains(&self.pps) {
            return None;
        }
        // The nine bits are four zeros and the number, less than 32, that is one more than the id.
        let kept_high = first & (0xffu16 << (8 - before)) as u8;
        let kept_low = first & (0x7fu8 >> before);
        let code = (self.pps + 1) << (7 - before);
        let [high, low] = (code as u16).to_be_bytes();
        payload.splice(..1, [kept_high | high, kept_low | low]);
        escaped(slice.get(..2)?, &payload)
    }
}

/// A unit of `header` and `payload`, with emulation prevention (§7.3.1.1).
fn escaped(header: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let mut unit = Vec::with_capacity(header.len() + payload.len() + 16);
    unit.extend_from_slice(header);
    let mut writer = ByteWriter::new(unit);
    writer.write_all(payload).ok()?;
    Some(writer.into_writer())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: Ids = Ids { vps: 1, sps: 2, pps: 17 };

    #[test]
    fn a_renamed_slice_is_a_byte_longer_and_else_the_same() {
        // P slice: first slice 1, id 0 ('1'), then 10 1010.
        let renamed = IDS.rename_slice(&[0x02, 0x01, 0b1110_1010, 0xab, 0xcd]).unwrap();
        // 1, then 18 in nine bits, then the rest.
        assert_eq!(renamed, [0x02, 0x01, 0b1000_0100, 0b1010_1010, 0xab, 0xcd]);
        // IDR: two flags before the id.
        let renamed = IDS.rename_slice(&[0x26, 0x01, 0b1011_0101, 0x00, 0x00, 0x03, 0x01]).unwrap();
        assert_eq!(renamed, [0x26, 0x01, 0b1000_0010, 0b0101_0101, 0x00, 0x00, 0x03, 0x01]);
        assert_eq!(IDS.rename_slice(&[0x02, 0x01, 0b1010_0000]), None, "its id is not 0");
        assert_eq!(IDS.rename_slice(&[0x02, 0x01]), None);
    }

    #[test]
    fn a_renamed_picture_parameter_set_keeps_the_rest() {
        // pps id 0, sps id 0, then 101, then the stop bit.
        let renamed = IDS.rename_set(&[0x44, 0x01, 0b1110_1100]).unwrap();
        // 0000 10010, 011, 101, 1
        assert_eq!(renamed, [0x44, 0x01, 0b0000_1001, 0b0011_1011]);
        assert_eq!((id(&renamed), id(&[0x44, 0x01, 0b1110_1100])), (Some(17), Some(0)));
    }
}
