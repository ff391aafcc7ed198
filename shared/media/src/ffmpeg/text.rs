//! Turning text of any kind into QuickTime text (3GPP TS 26.245), which MP4 and MOV hold.

use std::{ptr, slice};

use ff::codec::Parameters;
use ffmpeg_next as ff;

use super::{Packet, Stream, extradata, source_error};
use crate::Error;

/// The longest text that one sample holds: its length has 16 bits, and styles follow it.
const MAX_TEXT: usize = 1 << 16;
/// Longer headers than this are none of a style sheet's.
const MAX_HEADER: i32 = 1 << 16;

/// Has the C library load the tables of characters that libzvbi converts with: it does so on first use, and can't in the
/// sandbox. The conversions stay open, since tables that nothing uses are unloaded.
pub(super) fn warm_up() {
    for code in [c"UTF-8", c"ISO_6937", c"ISO-8859-1"] {
        // SAFETY: both names are strings that end with a zero. Without the tables teletext stays without text.
        unsafe {
            libc::iconv_open(code.as_ptr(), c"UCS-2".as_ptr());
            libc::iconv_open(c"UCS-2".as_ptr(), code.as_ptr());
        }
    }
}

/// What a packet of text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caption {
    /// QuickTime text; empty where the screen is cleared.
    pub(crate) text: Vec<u8>,
    /// Milliseconds from the packet's time to when it is shown.
    pub(crate) delay: u32,
    /// Milliseconds from the packet's time to when it is hidden, if that is known.
    pub(crate) until: Option<u32>,
}

/// Decodes text of one track, and encodes it as QuickTime text.
pub(crate) struct TextConverter {
    decoder: ff::decoder::Opened,
    encoder: ff::encoder::subtitle::Encoder,
}

impl TextConverter {
    /// Opens a converter of `stream`.
    ///
    /// # Errors
    /// `Unsupported` if this build can't decode it, or it is no text.
    pub(crate) fn open(stream: &Stream) -> Result<Self, Error> {
        let name = &stream.info.codec;
        let refused = |error: ff::Error| Error::Unsupported(format!("{name} can't be converted to text: {error}"));
        let codec = ff::decoder::find(stream.parameters.id())
            .ok_or_else(|| Error::Unsupported(format!("this build of FFmpeg can't decode {name}")))?;
        let mut context = ff::codec::Context::from_parameters(stream.parameters.clone()).map_err(refused)?;
        // SAFETY: the context is ours alone and not open yet; a number is set.
        unsafe {
            (*context.as_mut_ptr()).pkt_timebase =
                ff::ffi::AVRational { num: stream.timebase.num(), den: stream.timebase.den() };
        }
        let mut options = ff::Dictionary::new();
        if stream.parameters.id() == ff::codec::Id::DVB_TELETEXT {
            options.set("txt_format", "text");
            options.set("txt_page", &teletext_page(extradata(&stream.parameters)));
        }
        let decoder = context.decoder().open_as_with(codec, options).map_err(refused)?;
        let encoder = open_encoder(&decoder)?;
        Ok(Self { decoder, encoder })
    }

    /// What a muxer needs to know of the track.
    pub(crate) fn parameters(&self) -> Parameters {
        Parameters::from(&self.encoder)
    }

    /// Converts `packet`; `None` if it holds nothing to show and nothing to clear.
    ///
    /// # Errors
    /// `Limit` without memory. Damaged packets are passed over.
    pub(crate) fn convert(&mut self, packet: &Packet) -> Result<Option<Caption>, Error> {
        use ff::packet::Ref;
        // SAFETY: all zeros is how libav wants a subtitle before it is filled; what it allocates is freed once, below,
        // whether or not it gave something. The packet is only read, although libav takes a mutable pointer.
        unsafe {
            let mut subtitle: ff::ffi::AVSubtitle = std::mem::zeroed();
            let mut found = 0;
            let context = self.decoder.as_mut_ptr();
            let result =
                ff::ffi::avcodec_decode_subtitle2(context, &mut subtitle, &mut found, packet.as_ptr().cast_mut());
            if result < 0 || found == 0 {
                ff::ffi::avsubtitle_free(&mut subtitle);
                return match ff::Error::from(result) {
                    ff::Error::Other { errno } if result < 0 && errno == ff::error::ENOMEM => {
                        Err(source_error("decoding text", ff::Error::from(result)))
                    }
                    _ => Ok(None),
                };
            }
            let (delay, end) = (subtitle.start_display_time, subtitle.end_display_time);
            // The encoder refuses a delay: it knows no time at all.
            subtitle.start_display_time = 0;
            let text = self.encode(&subtitle);
            ff::ffi::avsubtitle_free(&mut subtitle);
            let until = (end > delay && end != u32::MAX).then_some(end);
            Ok(Some(Caption { text, delay, until }))
        }
    }

    /// `subtitle` as QuickTime text; empty if it has none.
    ///
    /// # Safety
    /// `subtitle` was filled by libav.
    unsafe fn encode(&mut self, subtitle: &ff::ffi::AVSubtitle) -> Vec<u8> {
        if subtitle.num_rects == 0 {
            return Vec::new();
        }
        let mut buffer = vec![0; MAX_TEXT + MAX_TEXT / 4];
        let room = i32::try_from(buffer.len()).unwrap_or(0);
        // SAFETY: the encoder is open, and writes no more than it is told there is room for.
        let written =
            unsafe { ff::ffi::avcodec_encode_subtitle(self.encoder.as_mut_ptr(), buffer.as_mut_ptr(), room, subtitle) };
        buffer.truncate(usize::try_from(written).unwrap_or(0));
        // A text of no letters clears the screen too.
        if buffer.len() <= 2 || buffer[..2] == [0, 0] { Vec::new() } else { buffer }
    }
}

/// The page with subtitles: the first that the track's descriptor names (ETSI EN 300 468 §6.2.43), or whichever says that
/// it is one.
fn teletext_page(descriptors: &[u8]) -> String {
    // libav keeps type and magazine, and page, of each entry.
    let mut entries = descriptors.chunks_exact(2);
    match entries.find(|entry| matches!(entry[0] >> 3, 2 | 5)) {
        Some(entry) => {
            let magazine = if entry[0] & 7 == 0 { 8 } else { entry[0] & 7 };
            format!("{magazine}{:02x}", entry[1])
        }
        None => "subtitle".into(),
    }
}

fn open_encoder(decoder: &ff::decoder::Opened) -> Result<ff::encoder::subtitle::Encoder, Error> {
    let refused = |error: ff::Error| Error::Unsupported(format!("QuickTime text can't be written: {error}"));
    let codec = ff::encoder::find(ff::codec::Id::MOV_TEXT).ok_or_else(|| refused(ff::Error::EncoderNotFound))?;
    let mut encoder = ff::codec::Context::new_with_codec(codec).encoder().subtitle().map_err(refused)?;
    encoder.set_time_base(ff::Rational(1, 1000));
    // SAFETY: both contexts are valid, and the encoder's is not open yet. The header is copied into memory of libav's,
    // which frees it with the context, and ends with the zero that it reads up to.
    unsafe {
        let (source, target) = (decoder.as_ptr(), encoder.as_mut_ptr());
        let length = (*source).subtitle_header_size;
        if !(*source).subtitle_header.is_null() && (1..=MAX_HEADER).contains(&length) {
            let bytes = slice::from_raw_parts((*source).subtitle_header, length.unsigned_abs() as usize);
            let memory = ff::ffi::av_mallocz(bytes.len() + 1).cast::<u8>();
            if memory.is_null() {
                return Err(Error::Limit("out of memory".into()));
            }
            ptr::copy_nonoverlapping(bytes.as_ptr(), memory, bytes.len());
            (*target).subtitle_header = memory;
            (*target).subtitle_header_size = length;
        }
    }
    encoder.open_as(codec).map_err(refused)
}
