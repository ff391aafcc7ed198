//! H.264 byte streams: NAL units in their two framings, and parameter sets (ITU-T H.264, ISO/IEC 14496-15).

use h264_reader::{
    nal::{Nal, RefNal, sps::SeqParameterSet},
    rbsp::BitRead,
};

use crate::Error;

/// Start code of Annex B (ITU-T H.264 §B.1).
const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// An access unit delimiter that allows slices of any type.
const DELIMITER: [u8; 2] = [0x09, 0xf0];

/// nal_unit_type (ITU-T H.264 table 7-1).
mod kind {
    pub(super) const IDR: u8 = 5;
    pub(super) const SEI: u8 = 6;
    pub(super) const SPS: u8 = 7;
    pub(super) const PPS: u8 = 8;
    pub(super) const DELIMITER: u8 = 9;
}

/// How NAL units are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Start codes, as in TS.
    AnnexB,
    /// A length of so many bytes before each, as in MP4.
    Length(u8),
}

impl Framing {
    /// The framing that goes with a track's codec configuration (ISO/IEC 14496-15 §5.3.3.1).
    pub(crate) fn of(extradata: &[u8]) -> Self {
        if is_avcc(extradata) { Self::Length((extradata[4] & 3) + 1) } else { Self::AnnexB }
    }

    /// The NAL units of `data`. A length beyond the end ends the list.
    pub(crate) fn units(self, data: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::AnnexB => annex_b_units(data),
            Self::Length(size) => length_units(data, size.into()),
        }
    }

    /// Appends `unit`, framed.
    fn append(self, unit: &[u8], to: &mut Vec<u8>) {
        match self {
            Self::AnnexB => to.extend_from_slice(&START_CODE),
            Self::Length(size) => to.extend_from_slice(&(unit.len() as u32).to_be_bytes()[4 - usize::from(size)..]),
        }
        to.extend_from_slice(unit);
    }
}

/// Whether the frame in `data` resets all references: decoding can begin with it, and nothing after it refers back.
pub(crate) fn is_idr(framing: Framing, data: &[u8]) -> bool {
    framing.units(data).iter().any(|unit| unit_kind(unit) == kind::IDR)
}

/// The parameter sets of a stream, with the ids that its slices call them by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ParameterSets {
    sps: Vec<Vec<u8>>,
    pps: Vec<Vec<u8>>,
}

/// What an encoder must match for its frames to pass as the stream's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodingStyle {
    /// profile_idc.
    pub(crate) profile: u8,
    /// level_idc, ten times the level.
    pub(crate) level: u8,
    /// max_num_ref_frames: it sizes the picture buffer, which must not change at a seam.
    pub(crate) references: u32,
    /// Fields may be coded apart.
    pub(crate) interlaced: bool,
}

impl ParameterSets {
    /// The parameter sets in a track's codec configuration, of either form.
    pub(crate) fn of(extradata: &[u8]) -> Self {
        let units = if is_avcc(extradata) { avcc_units(extradata) } else { annex_b_units(extradata) };
        let pick = |wanted| units.iter().filter(|unit| unit_kind(unit) == wanted).map(|unit| unit.to_vec()).collect();
        Self { sps: pick(kind::SPS), pps: pick(kind::PPS) }
    }

    /// Whether there is anything to decode with.
    pub(crate) fn is_complete(&self) -> bool {
        !self.sps.is_empty() && !self.pps.is_empty()
    }

    /// How the stream is coded.
    ///
    /// # Errors
    /// `Unusable` if there is no sequence parameter set, or it can't be read.
    pub(crate) fn style(&self) -> Result<CodingStyle, Error> {
        let unreadable = |what: String| Error::Unusable(format!("the sequence parameter set can't be read: {what}"));
        let first = self.sps.first().ok_or_else(|| unreadable("there is none".into()))?;
        let sps = SeqParameterSet::from_bits(RefNal::new(first, &[], true).rbsp_bits())
            .map_err(|error| unreadable(format!("{error:?}")))?;
        Ok(CodingStyle {
            profile: first.get(1).copied().unwrap_or_default(),
            level: first.get(3).copied().unwrap_or_default(),
            references: sps.max_num_ref_frames,
            interlaced: !matches!(sps.frame_mbs_flags, h264_reader::nal::sps::FrameMbsFlags::Frames),
        })
    }

    /// The lowest id that no set of the stream has, sequence or picture; x264 gives both of its own the same.
    pub(crate) fn free_id(&self) -> Option<u32> {
        let used: Vec<u32> = self
            .sps
            .iter()
            .map(|unit| id_after(unit, 4))
            .chain(self.pps.iter().map(|unit| id_after(unit, 1)))
            .flatten()
            .collect();
        (0..32).find(|id| !used.contains(id))
    }

    /// These and `others`.
    pub(crate) fn with(&self, others: &Self) -> Self {
        let join = |own: &[Vec<u8>], more: &[Vec<u8>]| own.iter().chain(more).cloned().collect();
        Self { sps: join(&self.sps, &others.sps), pps: join(&self.pps, &others.pps) }
    }

    /// As codec configuration for a container: `like` is the source's, whose form and format extensions are kept.
    pub(crate) fn extradata(&self, like: &[u8]) -> Vec<u8> {
        if !is_avcc(like) {
            let mut out = Vec::new();
            self.append(Framing::AnnexB, &mut out);
            return out;
        }
        let mut out = like[..5].to_vec();
        out.push(0xe0 | self.sps.len() as u8);
        append_sized(&self.sps, &mut out);
        out.push(self.pps.len() as u8);
        append_sized(&self.pps, &mut out);
        out.extend_from_slice(avcc_extension(like));
        out
    }

    fn append(&self, framing: Framing, to: &mut Vec<u8>) {
        self.sps.iter().chain(&self.pps).for_each(|unit| framing.append(unit, to));
    }
}

/// A frame of the source, reframed for a TS: delimited, and with `sets` before a keyframe that doesn't bring its own.
pub(crate) fn to_annex_b(from: Framing, data: &[u8], is_key: bool, sets: &ParameterSets) -> Vec<u8> {
    let units = from.units(data);
    let mut out = Vec::with_capacity(data.len() + 256);
    Framing::AnnexB.append(&DELIMITER, &mut out);
    if is_key && !units.iter().any(|unit| unit_kind(unit) == kind::SPS) {
        sets.append(Framing::AnnexB, &mut out);
    }
    units
        .iter()
        .filter(|unit| unit_kind(unit) != kind::DELIMITER)
        .for_each(|unit| Framing::AnnexB.append(unit, &mut out));
    out
}

/// A frame of our encoder (Annex B) in the framing of the output. Its parameter sets go before a keyframe in Annex B, and
/// nowhere else; the encoder's note about itself is left out.
pub(crate) fn from_encoder(data: &[u8], to: Framing, is_key: bool, sets: &ParameterSets) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 256);
    if to == Framing::AnnexB {
        to.append(&DELIMITER, &mut out);
        if is_key {
            sets.append(to, &mut out);
        }
    }
    annex_b_units(data)
        .iter()
        .filter(|unit| !matches!(unit_kind(unit), kind::SPS | kind::PPS | kind::DELIMITER) && !is_encoder_note(unit))
        .for_each(|unit| to.append(unit, &mut out));
    out
}

/// SEI user_data_unregistered (payload type 5), where x264 writes its version and options.
fn is_encoder_note(unit: &[u8]) -> bool {
    unit_kind(unit) == kind::SEI && unit.get(1) == Some(&5)
}

fn unit_kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |header| header & 0x1f)
}

fn is_avcc(extradata: &[u8]) -> bool {
    extradata.len() >= 7 && extradata[0] == 1
}

/// The unsigned Exp-Golomb number that stands `skip` bytes into a NAL unit: the id of a parameter set.
fn id_after(unit: &[u8], skip: usize) -> Option<u32> {
    let mut bits = RefNal::new(unit, &[], true).rbsp_bits();
    // The reader starts behind the NAL header.
    bits.skip(8 * (skip as u32 - 1), "fixed fields").ok()?;
    bits.read_ue("id").ok()
}

fn annex_b_units(data: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut start = None;
    let mut position = 0;
    while let Some(found) = find_start_code(data, position) {
        if let Some(start) = start {
            units.push(trim_zeros(&data[start..found]));
        }
        start = Some(found + 3);
        position = found + 3;
    }
    if let Some(start) = start {
        units.push(trim_zeros(&data[start..]));
    }
    units.retain(|unit| !unit.is_empty());
    units
}

fn find_start_code(data: &[u8], from: usize) -> Option<usize> {
    let mut position = from;
    while position + 3 <= data.len() {
        // The third byte tells how far the next start code is away at least.
        match data[position + 2] {
            1 if data[position] == 0 && data[position + 1] == 0 => return Some(position),
            0 => position += 1,
            _ => position += 3,
        }
    }
    None
}

/// Zeros between two units belong to neither (trailing_zero_8bits).
fn trim_zeros(unit: &[u8]) -> &[u8] {
    let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &unit[..length]
}

fn length_units(mut data: &[u8], size: usize) -> Vec<&[u8]> {
    let mut units = Vec::new();
    while data.len() > size {
        let length = data[..size].iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
        let Some(unit) = data.get(size..size + length) else { break };
        if !unit.is_empty() {
            units.push(unit);
        }
        data = &data[size + length..];
    }
    units
}

/// Where the lists of an `avcC` box are, and where they end.
fn avcc_lists(extradata: &[u8]) -> (Vec<&[u8]>, usize) {
    let mut units = Vec::new();
    let mut position = 5;
    for mask in [0x1f, 0xff] {
        let Some(count) = extradata.get(position).map(|count| count & mask) else { break };
        position += 1;
        for _ in 0..count {
            let Some(length) = extradata.get(position..position + 2) else { return (units, extradata.len()) };
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let Some(unit) = extradata.get(position + 2..position + 2 + length) else {
                return (units, extradata.len());
            };
            units.push(unit);
            position += 2 + length;
        }
    }
    (units, position.min(extradata.len()))
}

fn avcc_units(extradata: &[u8]) -> Vec<&[u8]> {
    avcc_lists(extradata).0
}

fn avcc_extension(extradata: &[u8]) -> &[u8] {
    &extradata[avcc_lists(extradata).1..]
}

fn append_sized(units: &[Vec<u8>], to: &mut Vec<u8>) {
    for unit in units {
        to.extend_from_slice(&(unit.len() as u16).to_be_bytes());
        to.extend_from_slice(unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annex_b_and_length_framing_hold_the_same_units() {
        let annex_b = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 0, 1, 0x65, 0, 0, 3, 9];
        let units = Framing::AnnexB.units(&annex_b);
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 0, 0, 3, 9]]);
        let mut sized = Vec::new();
        units.iter().for_each(|unit| Framing::Length(4).append(unit, &mut sized));
        assert_eq!(Framing::Length(4).units(&sized), units);
        assert!(is_idr(Framing::Length(4), &sized));
    }

    #[test]
    fn damaged_lengths_end_the_list() {
        assert_eq!(Framing::Length(4).units(&[0, 0, 0, 9, 0x65, 1]), Vec::<&[u8]>::new());
        assert_eq!(Framing::Length(2).units(&[0, 1, 0x41, 0xff, 0xff]), [&[0x41][..]]);
        for length in 0..12 {
            let _ = ParameterSets::of(&[1, 100, 0, 40, 0xff, 0xe1, 0, 200, 1, 1, 1, 1][..length]);
        }
    }

    #[test]
    fn avcc_survives_taking_apart_and_putting_together() {
        let avcc = [1, 100, 0, 40, 0xff, 0xe1, 0, 3, 0x67, 100, 0, 1, 0, 2, 0x68, 0xee, 0xfd, 0xf8, 0xf8, 0];
        let sets = ParameterSets::of(&avcc);
        assert!(sets.is_complete());
        assert_eq!(sets.extradata(&avcc), avcc);
        let both = ParameterSets::of(&sets.with(&sets).extradata(&avcc));
        assert_eq!((both.sps.len(), both.pps.len()), (2, 2));
    }
}
