//! Codec configuration of video (ISO/IEC 14496-15 §5.3.3, §8.3.3).

use super::{
    Movie,
    boxes::{Box, number},
};

/// Profiles of H.264 whose configuration ends with chroma format and bit depths.
const EXTENDED: [u8; 4] = [100, 110, 122, 244];

/// Checks a video's sample entry, and returns the types of the boxes in it.
pub(super) fn check_video(entry: &Box<'_>, movie: &mut Movie) -> Result<Vec<String>, String> {
    let boxes = entry.of_video_entry()?;
    let content = |kind: &[u8; 4]| boxes.iter().find(|found| found.kind == *kind).map(|found| found.content);
    let problem = match &entry.kind {
        b"avc1" | b"avc3" => {
            content(b"avcC").ok_or("avcC is missing".into()).and_then(|avcc| check_avcc(avcc, &entry.kind))
        }
        b"hvc1" => content(b"hvcC").ok_or("hvcC is missing".into()).and_then(check_hvcc),
        b"hev1" => Err("HEVC is tagged hev1, which QuickTime doesn't play".into()),
        _ => Ok(()),
    };
    if let Err(problem) = problem {
        movie.add(format!("{}: {problem}", entry.name()));
    }
    let (width, height) = (number(entry.content, 24, 2)?, number(entry.content, 26, 2)?);
    if width == 0 || height == 0 {
        movie.add(format!("{}: {width} × {height} pixels", entry.name()));
    }
    Ok(boxes.iter().map(Box::name).collect())
}

fn check_avcc(avcc: &[u8], entry: &[u8; 4]) -> Result<(), String> {
    let [1, profile, compatibility, level, lengths, ..] = *avcc else {
        return Err(format!("avcC begins with {:02x?}", &avcc[..avcc.len().min(5)]));
    };
    if lengths & 0xfc != 0xfc || lengths & 3 == 2 {
        return Err(format!("avcC says lengths {lengths:#x}"));
    }
    let (sps, at) = sets(avcc, 5, 0x1f)?;
    let (pps, at) = sets(avcc, at, 0xff)?;
    let needs = entry == b"avc1";
    if needs && (sps.is_empty() || pps.is_empty()) {
        return Err(format!("avcC has {} sequence and {} picture parameter sets", sps.len(), pps.len()));
    }
    if sps.iter().any(|set| set[0] & 0x1f != 7) || pps.iter().any(|set| set[0] & 0x1f != 8) {
        return Err("avcC has other NAL units than parameter sets".into());
    }
    if sps.first().is_some_and(|set| set.get(1..4) != Some(&[profile, compatibility, level])) {
        return Err("avcC names another profile or level than the sequence parameter set".into());
    }
    match (EXTENDED.contains(&profile), avcc.len() - at) {
        (false, 0) | (true, 4..) => Ok(()),
        (extended, rest) => Err(format!("avcC of profile {profile} ends with {rest} bytes, extended: {extended}")),
    }
}

/// Parameter sets, each with its length, and where they end.
fn sets(avcc: &[u8], at: usize, mask: i64) -> Result<(Vec<&[u8]>, usize), String> {
    let count = number(avcc, at, 1)? & mask;
    let (mut sets, mut at) = (Vec::new(), at + 1);
    for _ in 0..count {
        let size = number(avcc, at, 2)? as usize;
        sets.push(avcc.get(at + 2..at + 2 + size).filter(|set| !set.is_empty()).ok_or("a parameter set is cut off")?);
        at += 2 + size;
    }
    Ok((sets, at))
}

fn check_hvcc(hvcc: &[u8]) -> Result<(), String> {
    if hvcc.first() != Some(&1) {
        return Err(format!("hvcC has version {:?}", hvcc.first()));
    }
    let arrays = number(hvcc, 22, 1)?;
    let (mut at, mut kinds) = (23, Vec::new());
    for _ in 0..arrays {
        let head = number(hvcc, at, 1)?;
        let count = number(hvcc, at + 1, 2)?;
        at += 3;
        // `hvc1` says that parameter sets are nowhere else.
        if head & 0x80 == 0 && (32..=34).contains(&(head & 0x3f)) {
            return Err(format!("hvcC's array of NAL units {} is incomplete, but the entry is hvc1", head & 0x3f));
        }
        for _ in 0..count {
            let size = number(hvcc, at, 2)? as usize;
            let unit = hvcc.get(at + 2..at + 2 + size).filter(|unit| unit.len() > 2).ok_or("hvcC is cut off")?;
            if i64::from(unit[0] >> 1) != head & 0x3f {
                return Err(format!("hvcC's array {} holds NAL unit {}", head & 0x3f, unit[0] >> 1));
            }
            at += 2 + size;
        }
        kinds.push(head & 0x3f);
    }
    if at != hvcc.len() || ![32, 33, 34].iter().all(|kind| kinds.contains(kind)) {
        return Err(format!("hvcC holds {kinds:?}, and ends {} bytes early", hvcc.len() - at));
    }
    Ok(())
}
