//! Units of metadata as a TS carries them. FFmpeg 5.1 takes five bytes off the front of each that comes in a stream of
//! type metadata, whether a cell's header is there or not, and puts none back.

/// A unit of metadata in its cell (ISO/IEC 13818-1 §2.12.4). One that has it still, and one that is too long for it, stays
/// as it is.
pub(super) fn in_cell(unit: &[u8]) -> Vec<u8> {
    let length = unit.get(3..5).map(|bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1]));
    let has_cell = unit.len() > 5 && unit[2] & 0x0f == 0x0f && length == Some(unit.len() - 5);
    match u16::try_from(unit.len()) {
        // Service 0, whole, and a place to begin at.
        Ok(size) if !has_cell => [&[0, 0, 0xdf][..], &size.to_be_bytes(), unit].concat(),
        _ => unit.to_vec(),
    }
}

/// An ID3 tag, its first bytes put back where they are missing: the name, and the version, which the frames tell.
pub(super) fn tag(unit: &[u8]) -> Vec<u8> {
    if unit.starts_with(b"ID3") || unit.len() < 5 {
        return unit.to_vec();
    }
    let version = if !is_walkable(&unit[5..], 7) && is_walkable(&unit[5..], 8) { 3 } else { 4 };
    [&[b'I', b'D', b'3', version, 0][..], unit].concat()
}

/// Whether `frames` follow each other to the end if each byte of their sizes has so many bits: seven in version 2.4, eight
/// in 2.3.
fn is_walkable(mut frames: &[u8], bits: u32) -> bool {
    while frames.len() >= 10 && frames[0] != 0 {
        let size = frames[4..8].iter().fold(0u64, |size, byte| size << bits | u64::from(*byte));
        if frames[4..8].iter().any(|byte| byte.leading_zeros() + bits < 8) {
            return false;
        }
        let Some(next) = usize::try_from(size).ok().and_then(|size| frames.get(10..)?.get(size..)) else {
            return false;
        };
        frames = next;
    }
    frames.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_gets_its_version_back() {
        for (version, size) in [(4, [0, 0, 1, 0x48]), (3, [0, 0, 0, 200])] {
            let whole = [&[b'I', b'D', b'3', version, 0, 0, 0, 0, 1, 0x52][..], b"PRIV", &size, &[0; 202]].concat();
            assert_eq!(tag(&whole[5..]), whole);
            assert_eq!(tag(&whole), whole);
        }
        for length in 0..12 {
            let _ = tag(&[0x50; 12][..length]);
        }
    }

    #[test]
    fn a_unit_is_put_in_a_cell_once() {
        let cell = in_cell(&[6, 0x0e, 0x2b, 0x34, 2, 9]);
        assert_eq!(cell, [0, 0, 0xdf, 0, 6, 6, 0x0e, 0x2b, 0x34, 2, 9]);
        assert_eq!(in_cell(&cell), cell);
    }
}
