//! Sound that is not compressed: it can be cut anywhere, and silence is a byte.

/// How a codec stores samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of one sample of all channels.
    pub(crate) block: usize,
    /// The byte that silence is made of.
    pub(crate) silence: u8,
}

/// Codecs that QuickTime has a name for, the bytes of a sample, and the byte that silence is made of.
const CODECS: [(&str, usize, u8); 14] = [
    ("pcm_u8", 1, 0x80),
    ("pcm_s8", 1, 0),
    ("pcm_s16le", 2, 0),
    ("pcm_s16be", 2, 0),
    ("pcm_s24le", 3, 0),
    ("pcm_s24be", 3, 0),
    ("pcm_s32le", 4, 0),
    ("pcm_s32be", 4, 0),
    ("pcm_f32le", 4, 0),
    ("pcm_f32be", 4, 0),
    ("pcm_f64le", 8, 0),
    ("pcm_f64be", 8, 0),
    // ITU-T G.711: the code words for the smallest positive amplitude.
    ("pcm_alaw", 1, 0xd5),
    ("pcm_mulaw", 1, 0xff),
];

/// Whether a MOV holds samples of `codec`.
pub(crate) fn is_quicktime(codec: &str) -> bool {
    CODECS.iter().any(|(name, ..)| *name == codec)
}

impl Layout {
    /// How `codec` stores samples of so many channels, if it stores them one by one.
    pub(crate) fn of(codec: &str, channels: i32) -> Option<Self> {
        let (_, bytes, silence) = CODECS.iter().find(|(name, ..)| *name == codec)?;
        let channels = usize::try_from(channels).ok().filter(|channels| *channels > 0)?;
        Some(Self { block: bytes * channels, silence: *silence })
    }
}
