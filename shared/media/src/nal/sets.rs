//! Parameter sets, and the codec configuration of a container, which holds them.

use super::{Codec, Framing, Role, avc, hevc};
use crate::Error;

/// The parameter sets of a stream, with the ids that its slices call them by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParameterSets {
    codec: Codec,
    /// In the order in which they depend on each other: sequences before pictures.
    units: Vec<Vec<u8>>,
}

/// What an encoder must match for its frames to pass as the stream's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodingStyle {
    /// profile_idc.
    pub(crate) profile: u8,
    /// level_idc: ten times the level in H.264, thirty times in HEVC.
    pub(crate) level: u8,
    /// max_num_ref_frames of H.264: it sizes the picture buffer, which must not change at a seam.
    pub(crate) references: u32,
    /// Fields may be coded apart.
    pub(crate) interlaced: bool,
}

/// The ids under which the sets of our encoder go beside those of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Renaming {
    /// x264 is told the id, and gives it to both of its sets.
    Avc(u32),
    /// x265 can't be told: its sets and slices are rewritten.
    Hevc(hevc::Ids),
}

impl ParameterSets {
    /// The parameter sets in a track's codec configuration, of either form.
    pub(crate) fn of(codec: Codec, extradata: &[u8]) -> Self {
        let units = match (is_record(codec, extradata), codec) {
            (false, _) => Framing::AnnexB.units(extradata),
            (true, Codec::Avc) => avcc_lists(extradata).0,
            (true, Codec::Hevc) => hvcc_arrays(extradata).into_iter().flat_map(|array| array.units).collect(),
        };
        Self::pick(codec, &units)
    }

    /// The parameter sets that a frame brings along.
    pub(crate) fn in_band(codec: Codec, framing: Framing, data: &[u8]) -> Self {
        Self::pick(codec, &framing.units(data))
    }

    fn pick(codec: Codec, units: &[&[u8]]) -> Self {
        let mut sets = Self { codec, units: Vec::new() };
        for rank in 0..3 {
            let of_rank = units.iter().filter(|unit| codec.role(unit) == Role::Set(rank));
            for unit in of_rank {
                if !sets.units.iter().any(|known| known == unit) {
                    sets.units.push(unit.to_vec());
                }
            }
        }
        sets
    }

    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    fn of_rank(&self, rank: u8) -> impl Iterator<Item = &Vec<u8>> {
        self.units.iter().filter(move |unit| self.codec.role(unit) == Role::Set(rank))
    }

    /// Whether there is anything to decode with.
    pub(crate) fn is_complete(&self) -> bool {
        self.of_rank(1).next().is_some() && self.of_rank(2).next().is_some()
    }

    /// How the stream is coded.
    ///
    /// # Errors
    /// `Unusable` if there is no sequence parameter set, or it can't be read.
    pub(crate) fn style(&self) -> Result<CodingStyle, Error> {
        let first = self.of_rank(1).next();
        let first = first.ok_or_else(|| Error::Unusable("the stream has no sequence parameter set".into()))?;
        match self.codec {
            Codec::Avc => avc::style(first),
            Codec::Hevc => hevc::style(first),
        }
    }

    /// Ids that none of these has. `None` if all are taken.
    pub(crate) fn renaming(&self) -> Option<Renaming> {
        let ids = |rank| -> Vec<u32> { self.of_rank(rank).filter_map(|unit| self.id(unit)).collect() };
        let free = |mut range: std::ops::Range<u32>, used: &[u32]| range.find(|id| !used.contains(id));
        match self.codec {
            Codec::Avc => free(0..32, &[ids(1), ids(2)].concat()).map(Renaming::Avc),
            Codec::Hevc => Some(Renaming::Hevc(hevc::Ids {
                vps: free(0..16, &ids(0))?,
                sps: free(0..16, &ids(1))?,
                pps: free(hevc::NINE_BIT_IDS, &ids(2))?,
            })),
        }
    }

    fn id(&self, unit: &[u8]) -> Option<u32> {
        match self.codec {
            Codec::Avc => avc::id(unit),
            Codec::Hevc => hevc::id(unit),
        }
    }

    /// Whether `others` calls another set by the same name: then both can't be known at once.
    pub(crate) fn conflicts_with(&self, others: &Self) -> bool {
        self.units.iter().any(|own| {
            let is_rival = |other: &&Vec<u8>| {
                self.codec.role(own) == self.codec.role(other) && self.id(own) == self.id(other) && own != *other
            };
            others.units.iter().any(|other| is_rival(&other))
        })
    }

    /// Whether all of `others` are among these.
    pub(crate) fn contains(&self, others: &Self) -> bool {
        others.units.iter().all(|other| self.units.contains(other))
    }

    /// These and `others`.
    pub(crate) fn with(&self, others: &Self) -> Self {
        let units: Vec<&[u8]> = self.units.iter().chain(&others.units).map(Vec::as_slice).collect();
        Self::pick(self.codec, &units)
    }

    /// As codec configuration for a container: `like` is the source's, whose form and format extensions are kept.
    pub(crate) fn extradata(&self, like: &[u8]) -> Vec<u8> {
        match (is_record(self.codec, like), self.codec) {
            (false, _) => {
                let mut out = Vec::new();
                self.append(Framing::AnnexB, &mut out);
                out
            }
            (true, Codec::Avc) => self.avcc(like),
            (true, Codec::Hevc) => self.hvcc(like),
        }
    }

    /// AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1).
    fn avcc(&self, like: &[u8]) -> Vec<u8> {
        let mut out = like[..5].to_vec();
        for (rank, mask) in [(1, 0xe0), (2, 0)] {
            let sets: Vec<_> = self.of_rank(rank).collect();
            out.push(mask | sets.len() as u8);
            sets.iter().for_each(|set| append_sized(set, &mut out));
        }
        out.extend_from_slice(&like[avcc_lists(like).1..]);
        out
    }

    /// HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3.1).
    fn hvcc(&self, like: &[u8]) -> Vec<u8> {
        const COMPLETE: u8 = 0x80;
        let kept: Vec<_> =
            hvcc_arrays(like).into_iter().filter(|array| !(32..=34).contains(&(array.header & 0x3f))).collect();
        let sets: Vec<(u8, Vec<&Vec<u8>>)> = (0..3)
            .map(|rank| (32 + rank, self.of_rank(rank).collect()))
            .filter(|(_, sets): &(u8, Vec<_>)| !sets.is_empty())
            .collect();
        let mut out = like[..22].to_vec();
        out.push((sets.len() + kept.len()) as u8);
        for (kind, sets) in sets {
            out.push(COMPLETE | kind);
            out.extend_from_slice(&(sets.len() as u16).to_be_bytes());
            sets.iter().for_each(|set| append_sized(set, &mut out));
        }
        for array in kept {
            out.push(array.header);
            out.extend_from_slice(&(array.units.len() as u16).to_be_bytes());
            array.units.iter().for_each(|unit| append_sized(unit, &mut out));
        }
        out
    }

    pub(super) fn append(&self, framing: Framing, to: &mut Vec<u8>) {
        self.units.iter().for_each(|unit| framing.append(unit, to));
    }
}

impl Renaming {
    /// The sets of our encoder under their new ids.
    ///
    /// # Errors
    /// `Internal` if they can't be read.
    pub(crate) fn sets(&self, sets: &ParameterSets) -> Result<ParameterSets, Error> {
        let units = match self {
            Self::Avc(_) => return Ok(sets.clone()),
            Self::Hevc(ids) => sets.units.iter().map(|unit| ids.rename_set(unit)).collect::<Option<_>>(),
        };
        let units = units.ok_or_else(|| Error::Internal("the encoder's parameter sets can't be read".into()))?;
        Ok(ParameterSets { codec: sets.codec, units })
    }

    /// A slice of our encoder that calls its sets by their new ids.
    ///
    /// # Errors
    /// `Internal` if it can't be read.
    pub(super) fn slice<'a>(&self, slice: &'a [u8]) -> Result<std::borrow::Cow<'a, [u8]>, Error> {
        match self {
            Self::Avc(_) => Ok(slice.into()),
            Self::Hevc(ids) => {
                let renamed = ids.rename_slice(slice);
                Ok(renamed.ok_or_else(|| Error::Internal("a slice of the encoder can't be read".into()))?.into())
            }
        }
    }
}

/// Whether a codec configuration is a record, as in MP4, and not a byte stream, as in TS.
pub(super) fn is_record(codec: Codec, extradata: &[u8]) -> bool {
    match codec {
        Codec::Avc => extradata.len() >= 7 && extradata[0] == 1,
        Codec::Hevc => {
            extradata.len() >= 23 && (extradata[0] == 1 || extradata[..3] != [0, 0, 0] && extradata[..3] != [0, 0, 1])
        }
    }
}

/// A list of units, each behind its length in two bytes, as far as it goes: what is cut short ends it.
fn sized_units<'a>(bytes: &'a [u8], position: &mut usize, count: usize) -> Vec<&'a [u8]> {
    let mut units = Vec::new();
    for _ in 0..count {
        let Some(length) = bytes.get(*position..*position + 2) else { break };
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let Some(unit) = bytes.get(*position + 2..*position + 2 + length) else { break };
        units.push(unit);
        *position += 2 + length;
    }
    units
}

/// The sets in an `avcC` box, and where their lists end.
fn avcc_lists(extradata: &[u8]) -> (Vec<&[u8]>, usize) {
    let (mut units, mut position) = (Vec::new(), 5);
    for mask in [0x1f, 0xff] {
        let Some(count) = extradata.get(position).map(|count| usize::from(count & mask)) else { break };
        position += 1;
        let list = sized_units(extradata, &mut position, count);
        if list.len() < count {
            return (units, extradata.len());
        }
        units.extend(list);
    }
    (units, position.min(extradata.len()))
}

/// An array of an `hvcC` box.
struct Array<'a> {
    /// array_completeness and NAL_unit_type.
    header: u8,
    units: Vec<&'a [u8]>,
}

fn hvcc_arrays(extradata: &[u8]) -> Vec<Array<'_>> {
    let (mut arrays, mut position) = (Vec::new(), 23);
    for _ in 0..extradata.get(22).copied().unwrap_or_default() {
        let Some(head) = extradata.get(position..position + 3) else { break };
        position += 3;
        let units = sized_units(extradata, &mut position, u16::from_be_bytes([head[1], head[2]]).into());
        arrays.push(Array { header: head[0], units });
    }
    arrays
}

fn append_sized(unit: &[u8], to: &mut Vec<u8>) {
    to.extend_from_slice(&(unit.len() as u16).to_be_bytes());
    to.extend_from_slice(unit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_records_end_early() {
        for length in 0..12 {
            let avcc = [1, 100, 0, 40, 0xff, 0xe1, 0, 200, 1, 1, 1, 1];
            assert!(!ParameterSets::of(Codec::Avc, &avcc[..length]).is_complete());
        }
        let hvcc: Vec<u8> = [1; 22].into_iter().chain([3, 0xa1, 0, 9, 0, 200, 1]).collect();
        for length in 0..hvcc.len() {
            assert!(!ParameterSets::of(Codec::Hevc, &hvcc[..length]).is_complete());
        }
    }

    #[test]
    fn records_survive_taking_apart_and_putting_together() {
        let avcc = [1, 100, 0, 40, 0xff, 0xe1, 0, 3, 0x67, 100, 0, 1, 0, 2, 0x68, 0xee, 0xfd, 0xf8, 0xf8, 0];
        let sets = ParameterSets::of(Codec::Avc, &avcc);
        assert!(sets.is_complete());
        assert_eq!(sets.extradata(&avcc), avcc);
        let hvcc: Vec<u8> = [1; 22]
            .into_iter()
            .chain([4])
            .chain([0xa0, 0, 1, 0, 2, 0x40, 1])
            .chain([0xa1, 0, 1, 0, 2, 0x42, 1])
            .chain([0xa2, 0, 2, 0, 2, 0x44, 1, 0, 3, 0x44, 1, 9])
            .chain([0x27, 0, 1, 0, 2, 0x4e, 1])
            .collect();
        let sets = ParameterSets::of(Codec::Hevc, &hvcc);
        assert!(sets.is_complete());
        assert_eq!(sets.extradata(&hvcc), hvcc);
    }

    #[test]
    fn sets_of_one_name_and_other_content_conflict() {
        let sets = |units: &[&[u8]]| ParameterSets::pick(Codec::Avc, units);
        // Picture parameter sets 0, 0 and 1.
        let (a, b, c) = (sets(&[&[0x68, 0b1110_0000]]), sets(&[&[0x68, 0b1010_1000]]), sets(&[&[0x68, 0b0101_1000]]));
        assert!(a.conflicts_with(&b));
        assert!(!a.conflicts_with(&c) && !a.conflicts_with(&a.clone()));
        assert_eq!(a.with(&a).units.len(), 1);
        assert_eq!(a.with(&c).units.len(), 2);
    }
}
