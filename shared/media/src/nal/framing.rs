//! Where one NAL unit ends and the next begins.

use super::{Codec, sets};

/// Start code of Annex B (ITU-T H.264 §B.1, H.265 §B.2).
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// How NAL units are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Start codes, as in TS.
    AnnexB,
    /// A length of so many bytes before each, as in MP4.
    Length(u8),
}

impl Framing {
    /// The framing that goes with a track's codec configuration (ISO/IEC 14496-15 §5.3.3.1, §8.3.3.1).
    pub(crate) fn of(codec: Codec, extradata: &[u8]) -> Self {
        if !sets::is_record(codec, extradata) {
            return Self::AnnexB;
        }
        let length = match codec {
            Codec::Avc => extradata[4],
            Codec::Hevc => extradata[21],
        };
        Self::Length((length & 3) + 1)
    }

    /// The NAL units of `data`. A length beyond the end ends the list.
    pub(crate) fn units(self, data: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::AnnexB => annex_b_units(data),
            Self::Length(size) => length_units(data, size.into()),
        }
    }

    /// Appends `unit`, framed.
    pub(super) fn append(self, unit: &[u8], to: &mut Vec<u8>) {
        match self {
            Self::AnnexB => to.extend_from_slice(&START_CODE),
            Self::Length(size) => to.extend_from_slice(&(unit.len() as u32).to_be_bytes()[4 - usize::from(size)..]),
        }
        to.extend_from_slice(unit);
    }
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
    }

    #[test]
    fn damaged_lengths_end_the_list() {
        assert_eq!(Framing::Length(4).units(&[0, 0, 0, 9, 0x65, 1]), Vec::<&[u8]>::new());
        assert_eq!(Framing::Length(2).units(&[0, 1, 0x41, 0xff, 0xff]), [&[0x41][..]]);
    }
}
