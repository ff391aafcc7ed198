//! NAL units of H.264 and HEVC: their two framings, and the parameter sets that frames are decoded with (ITU-T H.264, ITU-T
//! H.265, ISO/IEC 14496-15).
//!
//! ```text
//! framing.rs   where one unit ends and the next begins
//! sets.rs      parameter sets, and the codec configuration of a container
//! avc.rs       what is H.264's
//! hevc.rs      what is HEVC's
//! ```

mod avc;
mod framing;
mod hevc;
mod sets;

pub(crate) use framing::Framing;
pub(crate) use sets::{CodingStyle, ParameterSets, Renaming};

/// The codecs whose frames are NAL units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// ITU-T H.264.
    Avc,
    /// ITU-T H.265.
    Hevc,
}

/// What can begin with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: it refers to frames before it, or frames behind it do.
    None,
    /// Decoding: no frame from here on refers to any before, and all of them are shown after it.
    Clean,
    /// Decoding, but frames that are stored behind it and shown before it may refer to frames before it.
    Leading,
}

/// What a unit is to a cutter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A parameter set; the number orders them as they depend on each other.
    Set(u8),
    /// It says where an access unit begins.
    Delimiter,
    /// Supplemental information.
    Sei,
    /// A coded slice.
    Slice,
    Other,
}

impl Codec {
    /// The codec of FFmpeg's short name `name`.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "h264" => Some(Self::Avc),
            "hevc" => Some(Self::Hevc),
            _ => None,
        }
    }

    fn role(self, unit: &[u8]) -> Role {
        match self {
            Self::Avc => avc::role(unit),
            Self::Hevc => hevc::role(unit),
        }
    }

    fn delimiter(self) -> &'static [u8] {
        match self {
            Self::Avc => &avc::DELIMITER,
            Self::Hevc => &hevc::DELIMITER,
        }
    }

    /// A unit that ends a coded video sequence, where the codec needs one before a keyframe that would else go on with what
    /// came before.
    fn end_of_sequence(self) -> Option<&'static [u8]> {
        match self {
            Self::Avc => None,
            Self::Hevc => Some(&hevc::END_OF_SEQUENCE),
        }
    }

    /// What can begin with the frame in `data`.
    pub(crate) fn access(self, framing: Framing, data: &[u8]) -> Access {
        let of_unit = |unit: &&[u8]| match self {
            Self::Avc => avc::access(unit),
            Self::Hevc => hevc::access(unit),
        };
        framing.units(data).iter().find(|unit| self.role(unit) == Role::Slice).map_or(Access::None, of_unit)
    }
}

/// A frame of the source, reframed for a TS: delimited, and with `sets` before a keyframe that doesn't bring its own.
pub(crate) fn to_annex_b(from: Framing, data: &[u8], is_key: bool, sets: &ParameterSets) -> Vec<u8> {
    let codec = sets.codec();
    let units = from.units(data);
    let mut out = Vec::with_capacity(data.len() + 256);
    Framing::AnnexB.append(codec.delimiter(), &mut out);
    if is_key && !units.iter().any(|unit| matches!(codec.role(unit), Role::Set(_))) {
        sets.append(Framing::AnnexB, &mut out);
    }
    let kept = units.iter().filter(|unit| codec.role(unit) != Role::Delimiter);
    kept.for_each(|unit| Framing::AnnexB.append(unit, &mut out));
    out
}

/// A frame of the source as a sample. Its parameter sets stay in it only if they are kept `in_band`; then `sets` go before
/// it if it doesn't bring its own.
pub(crate) fn to_sample(
    codec: Codec,
    from: Framing,
    to: Framing,
    data: &[u8],
    in_band: bool,
    sets: Option<&ParameterSets>,
) -> Vec<u8> {
    let units = from.units(data);
    let mut out = Vec::with_capacity(data.len() + 256);
    let is_set = |unit: &&[u8]| matches!(codec.role(unit), Role::Set(_));
    if let Some(sets) = sets.filter(|_| !units.iter().any(is_set)) {
        sets.append(to, &mut out);
    }
    // Samples need no delimiter, and one from a TS would stand before the sets.
    let is_kept = |unit: &&&[u8]| (in_band || !is_set(unit)) && codec.role(unit) != Role::Delimiter;
    units.iter().filter(is_kept).for_each(|unit| to.append(unit, &mut out));
    out
}

/// A frame of our encoder (Annex B) as the output wants it, its slices calling the parameter sets by the names that
/// `renaming` gave them. `before` goes before it; sets and the encoder's note about itself are left out.
///
/// # Errors
/// `Internal` if the encoder wrote a slice that can't be renamed.
pub(crate) fn from_encoder(
    codec: Codec,
    data: &[u8],
    to: Framing,
    is_delimited: bool,
    before: Option<&ParameterSets>,
    renaming: &Renaming,
) -> Result<Vec<u8>, crate::Error> {
    let mut out = Vec::with_capacity(data.len() + 256);
    if is_delimited {
        to.append(codec.delimiter(), &mut out);
    }
    if let Some(sets) = before {
        sets.append(to, &mut out);
    }
    for unit in Framing::AnnexB.units(data) {
        match codec.role(unit) {
            Role::Set(_) | Role::Delimiter => {}
            Role::Sei if is_encoder_note(codec, unit) => {}
            Role::Slice => to.append(&renaming.slice(unit)?, &mut out),
            Role::Sei | Role::Other => to.append(unit, &mut out),
        }
    }
    Ok(out)
}

/// `data` with a unit behind it that ends the sequence, if the codec has and needs one.
pub(crate) fn ended(codec: Codec, framing: Framing, data: &[u8]) -> Option<Vec<u8>> {
    let end = codec.end_of_sequence()?;
    let mut out = Vec::with_capacity(data.len() + 8);
    out.extend_from_slice(data);
    framing.append(end, &mut out);
    Some(out)
}

/// SEI user_data_unregistered (payload type 5), where encoders write their version and options.
fn is_encoder_note(codec: Codec, unit: &[u8]) -> bool {
    let header = match codec {
        Codec::Avc => 1,
        Codec::Hevc => 2,
    };
    unit.get(header) == Some(&5)
}
