//! Packets, and the little that the wrapper lacks for them.

use ff::{Packet, packet::Mut, packet::Ref};
use ffmpeg_next as ff;

/// A packet without data.
pub(crate) fn empty_packet() -> Packet {
    Packet::empty()
}

/// A second reference to the data of `packet`. The wrapper's `clone` copies the bytes.
pub(crate) fn share(packet: &Packet) -> Packet {
    let mut copy = Packet::empty();
    // SAFETY: both are valid packets, and `copy` is blank, so nothing is leaked. The shared buffer is counted atomically,
    // and nobody writes to a packet's bytes once it has left the demuxer or the encoder.
    let result = unsafe { ff::ffi::av_packet_ref(copy.as_mut_ptr(), packet.as_ptr()) };
    // It fails only for want of memory, where Rust would abort as well.
    if result < 0 { packet.clone() } else { copy }
}

/// A packet with `data`, and the times and flags of `like`.
pub(crate) fn new_packet(data: &[u8], like: &Packet) -> Packet {
    let mut packet = Packet::copy(data);
    // SAFETY: both are valid packets; only numbers and side data (which is copied) are written to the new one.
    unsafe { ff::ffi::av_packet_copy_props(packet.as_mut_ptr(), like.as_ptr()) };
    packet
}

/// A packet with `data`, at `time`, `duration` long, that decoding can begin with.
pub(crate) fn packet_of(data: &[u8], time: i64, duration: i64) -> Packet {
    let mut packet = Packet::copy(data);
    packet.set_pts(Some(time));
    packet.set_dts(Some(time));
    packet.set_duration(duration);
    packet.set_flags(ff::packet::Flags::KEY);
    packet
}

/// Takes back that an edit list hides the picture of `packet`: decoders leave out what is marked so.
pub(crate) fn show(packet: &mut Packet) {
    // SAFETY: the packet is valid and exclusively borrowed; a number is set.
    unsafe { (*packet.as_mut_ptr()).flags &= !ff::ffi::AV_PKT_FLAG_DISCARD };
}

/// The codec configuration of a track, as the container carries it; empty if there is none.
pub(crate) fn extradata(parameters: &ff::codec::Parameters) -> &[u8] {
    // SAFETY: the parameters are valid for the borrow, and libav keeps pointer and size together.
    unsafe {
        let raw = &*parameters.as_ptr();
        match usize::try_from(raw.extradata_size) {
            Ok(size) if size > 0 && !raw.extradata.is_null() => std::slice::from_raw_parts(raw.extradata, size),
            _ => &[],
        }
    }
}

/// Bits in a second of a track, if the container says or reading told.
pub(crate) fn bit_rate(parameters: &ff::codec::Parameters) -> Option<i64> {
    // SAFETY: the parameters are valid for the borrow; a number is read.
    Some(unsafe { (*parameters.as_ptr()).bit_rate }).filter(|bits| *bits > 0)
}

/// Whether a track is synchronous KLV metadata (SMPTE RP 217).
pub(crate) fn is_synchronous(parameters: &ff::codec::Parameters) -> bool {
    // SAFETY: the parameters are valid for the borrow; a number is read.
    let profile = unsafe { (*parameters.as_ptr()).profile };
    parameters.id() == ff::codec::Id::SMPTE_KLV && profile == ff::ffi::FF_PROFILE_KLVA_SYNC
}

/// Whether AAC is of low complexity, without the extensions that double its rate or its channels.
pub(crate) fn is_plain_aac(parameters: &ff::codec::Parameters) -> bool {
    // SAFETY: the parameters are valid for the borrow; a number is read.
    let profile = unsafe { (*parameters.as_ptr()).profile };
    matches!(profile, ff::ffi::FF_PROFILE_AAC_LOW | ff::ffi::FF_PROFILE_UNKNOWN)
}

/// Length of one frame of an audio track in nanoseconds, where all its frames are as long.
pub(crate) fn audio_frame(parameters: &ff::codec::Parameters) -> Option<i64> {
    // SAFETY: the parameters are valid for the borrow; only numbers are read.
    let (samples, rate, codec) = unsafe {
        let raw = &*parameters.as_ptr();
        (i64::from(raw.frame_size), i64::from(raw.sample_rate), parameters.id())
    };
    // An MP4's header doesn't say; AAC has 1024 samples in a frame unless it says otherwise.
    let samples = if samples == 0 && codec == ff::codec::Id::AAC { 1024 } else { samples };
    (samples > 0 && rate > 0).then(|| samples * 1_000_000_000 / rate)
}

/// Whether a video track says that its pictures are fields.
pub(crate) fn is_interlaced(parameters: &ff::codec::Parameters) -> bool {
    use ff::ffi::AVFieldOrder as Order;
    // SAFETY: the parameters are valid for the borrow; a number is read, which libav wrote itself.
    let order = unsafe { (*parameters.as_ptr()).field_order };
    matches!(order, Order::AV_FIELD_TT | Order::AV_FIELD_BB | Order::AV_FIELD_TB | Order::AV_FIELD_BT)
}
