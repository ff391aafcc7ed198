//! Headers of packetized elementary streams (ISO/IEC 13818-1 §2.4.3.6).

use super::{Packet, psi::is_video};

/// What a PES begins with.
#[derive(Clone, Copy)]
pub(super) struct PesHeader {
    /// PTS and DTS, in ticks of 1/90000 s; the DTS is the PTS where there is none.
    pub(super) times: Option<(i64, i64)>,
}

/// How much later one time is than another, where both may have wrapped at 33 bits.
pub(super) fn after(time: i64, other: i64) -> i64 {
    const WRAP: i64 = 1 << 33;
    (time - other + WRAP / 2).rem_euclid(WRAP) - WRAP / 2
}

/// Reads the header of a PES that lies in `packets`, in a stream of the type `kind`.
pub(super) fn read(packets: &[&Packet<'_>], kind: u8) -> Result<PesHeader, String> {
    let bytes: Vec<u8> = packets.iter().filter_map(|packet| packet.payload).flatten().copied().collect();
    if !packets[0].starts_unit {
        return Err("it doesn't begin with payload_unit_start_indicator".into());
    }
    let [0, 0, 1, id, high, low, first, flags, length, ..] = bytes[..] else {
        return Err(format!("it begins with {:02x?}", &bytes[..bytes.len().min(9)]));
    };
    match usize::from(u16::from_be_bytes([high, low])) {
        0 if is_video(kind) => {}
        0 => return Err("only video may have no length".into()),
        size if size + 6 != bytes.len() => return Err(format!("it says {size} bytes, and has {}", bytes.len() - 6)),
        _ => {}
    }
    if first & 0xc0 != 0x80 {
        return Err(format!("the stream {id:#x} has flags {first:#x}"));
    }
    let header = bytes.get(9..9 + usize::from(length)).ok_or("its header is cut off")?;
    let times = match flags >> 6 {
        0 => None,
        1 => return Err("PTS_DTS_flags is 01, which is forbidden".into()),
        2 => time(header, 2, 0).map(|pts| (pts, pts)),
        _ => time(header, 3, 0).zip(time(header, 1, 5)),
    };
    if flags >> 6 != 0 && times.is_none() {
        return Err(format!("its times are malformed: {header:02x?}"));
    }
    Ok(PesHeader { times })
}

/// A time of five bytes, of which the first begins with `prefix`; absent if its marker bits are wrong.
fn time(header: &[u8], prefix: u8, offset: usize) -> Option<i64> {
    let [a, b, c, d, e] = *header.get(offset..offset + 5)?.first_chunk()?;
    let is_marked = a >> 4 == prefix && a & c & e & 1 == 1;
    let (b, d) = (i64::from(b), i64::from(d));
    is_marked.then_some(i64::from(a >> 1 & 7) << 30 | b << 22 | i64::from(c >> 1) << 15 | d << 7 | i64::from(e >> 1))
}
