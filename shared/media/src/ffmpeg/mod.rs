//! Everything that names FFmpeg, and all `unsafe` of the suite. Outside of it there are packets, frames, demuxers, codecs
//! and muxers, but no pointers.

mod captions;
mod decoder;
mod demuxer;
mod encoder;
mod io;
mod labels;
mod muxer;
mod packet;
mod picture;
mod read_io;
mod sound;
mod sound_encoder;
mod text;
mod write_behind;

use std::sync::Once;

use ffmpeg_next as ff;

pub(crate) use decoder::{Decoder, Frame, can_decode};
pub(crate) use demuxer::{Demuxer, Stream};
pub(crate) use encoder::{Encoder, EncoderSettings, VideoShape};
pub(crate) use ff::Packet;
pub(crate) use ff::codec::Parameters;
pub(crate) use labels::Labels;
pub(crate) use muxer::{Muxer, MuxerOptions, OutputStream};
pub(crate) use packet::{
    audio_frame, bit_rate, empty_packet, extradata, is_interlaced, is_plain_aac, is_synchronous, new_packet, packet_of,
    share, show,
};
pub(crate) use picture::jpeg;
pub(crate) use sound::{Planes, Resampler, SoundShape};
pub(crate) use sound_encoder::{SoundEncoder, SoundSettings};
pub(crate) use text::{Caption, TextConverter};

use crate::Error;

/// Loads what FFmpeg loads only once.
pub(crate) fn warm_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Its messages name nothing that a caller could use, and a hostile file makes thousands of them a second.
        ff::util::log::set_level(ff::util::log::Level::Quiet);
        for codec in [ff::codec::Id::H264, ff::codec::Id::HEVC, ff::codec::Id::AAC] {
            let _ = ff::decoder::find(codec);
            let _ = ff::encoder::find(codec);
        }
        text::warm_up();
    });
}

/// What an FFmpeg error means while `doing` something with a source.
fn source_error(doing: &str, error: ff::Error) -> Error {
    match error {
        ff::Error::Other { errno } if errno == ff::error::ENOMEM => {
            Error::Limit(format!("{doing}: the source needs more memory than a job may use"))
        }
        ff::Error::Other { errno } if errno == ff::error::EIO => {
            Error::Io(format!("{doing}: a source could not be read"))
        }
        ff::Error::InvalidData => {
            Error::Unusable(format!("{doing}: the data is damaged, or not in the expected format"))
        }
        other => Error::Unusable(format!("{doing}: {other}")),
    }
}

/// What an FFmpeg error means while `doing` something with the output.
fn output_error(doing: &str, error: ff::Error) -> Error {
    match error {
        ff::Error::Other { errno } if errno == ff::error::ENOSPC || errno == ff::error::EFBIG => Error::NoSpace,
        ff::Error::Other { errno } if errno == ff::error::EIO => {
            Error::Io(format!("{doing}: the output could not be written"))
        }
        ff::Error::Other { errno } if errno == ff::error::ENOMEM => Error::Limit(format!("{doing}: out of memory")),
        other => Error::Internal(format!("{doing}: {other}")),
    }
}
