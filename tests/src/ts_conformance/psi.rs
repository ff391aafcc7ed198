//! The tables that say what is in a stream: PAT and PMT (ISO/IEC 13818-1 §2.4.4).

use super::{Packet, Report};

/// What the tables say, and which packets they begin in.
pub(super) struct Program {
    pub(super) pmt_pid: u16,
    pub(super) pcr_pid: u16,
    /// PID and stream_type of each track.
    pub(super) streams: Vec<(u16, u8)>,
    pub(super) pat_places: Vec<usize>,
    pub(super) pmt_places: Vec<usize>,
}

/// Whether a stream_type is video (table 2-34).
pub(super) fn is_video(kind: u8) -> bool {
    matches!(kind, 0x01 | 0x02 | 0x10 | 0x1b | 0x24 | 0x33 | 0xd1 | 0xea)
}

/// Whether a stream_type has data all the time: video, or sound.
pub(super) fn is_continuous(kind: u8) -> bool {
    is_video(kind) || matches!(kind, 0x03 | 0x04 | 0x0f | 0x11 | 0x81 | 0x87)
}

/// Reads the tables; all repetitions have to be the same. Absent if there is no program.
pub(super) fn read(packets: &[Packet<'_>], report: &mut Report) -> Option<Program> {
    let (pat_places, pat) = table(packets, 0, 0, "PAT", report)?;
    let entries = pat.as_chunks::<4>().0.iter().map(|entry| (word(entry, 0), word(entry, 2) & 0x1fff));
    let programs: Vec<_> = entries.filter(|(number, _)| *number != 0).collect();
    let [(_, pmt_pid)] = programs[..] else {
        report.add(format!("the PAT lists {} programs", programs.len()));
        return None;
    };
    let (pmt_places, pmt) = table(packets, pmt_pid, 2, "PMT", report)?;
    if pmt.len() < 4 {
        report.add("the PMT is empty".into());
        return None;
    }
    let streams = streams(&pmt[4..], usize::from(word(&pmt, 2) & 0xfff));
    if streams.is_none() {
        report.add("the PMT's lengths don't add up".into());
    }
    let pcr_pid = word(&pmt, 0) & 0x1fff;
    Some(Program { pmt_pid, pcr_pid, streams: streams?, pat_places, pmt_places })
}

/// The tracks that a PMT lists behind `skipped` bytes of descriptors.
fn streams(loops: &[u8], skipped: usize) -> Option<Vec<(u16, u8)>> {
    let mut rest = loops.get(skipped..)?;
    let mut streams = Vec::new();
    while !rest.is_empty() {
        let descriptors = usize::from(word(rest.get(..5)?, 3) & 0xfff);
        streams.push((word(rest, 1) & 0x1fff, rest[0]));
        rest = rest.get(5 + descriptors..)?;
    }
    Some(streams)
}

/// Where a table begins, and what it holds between its header and its CRC.
fn table(packets: &[Packet<'_>], pid: u16, id: u8, name: &str, report: &mut Report) -> Option<(Vec<usize>, Vec<u8>)> {
    let mut places = Vec::new();
    let mut content: Option<Vec<u8>> = None;
    for packet in packets.iter().filter(|packet| packet.pid == pid && packet.starts_unit) {
        let found = packet.payload.ok_or("it has no payload").and_then(|payload| section(payload, id));
        match found {
            Err(problem) => report.add(format!("the {name} in packet {}: {problem}", packet.index)),
            Ok(found) => {
                places.push(packet.index);
                if content.get_or_insert_with(|| found.to_vec()) != found {
                    report.add(format!("the {name} in packet {} differs from the first", packet.index));
                }
            }
        }
    }
    if content.is_none() {
        report.add(format!("there is no {name}"));
    }
    content.map(|content| (places, content))
}

/// The content of a section that lies in one packet, as those of a single program do (§2.4.4.1).
fn section(payload: &[u8], id: u8) -> Result<&[u8], &'static str> {
    let pointer = usize::from(*payload.first().ok_or("it is empty")?);
    let section = payload.get(1 + pointer..).filter(|section| section.len() > 12).ok_or("its pointer is wrong")?;
    if section[0] != id {
        return Err("it has another table_id");
    }
    let length = usize::from(word(section, 1) & 0xfff);
    let section = section.get(..3 + length).ok_or("it is longer than its packet")?;
    if length < 9 || section[1] & 0xc0 != 0x80 {
        return Err("its header is malformed");
    }
    if crc32(section) != 0 {
        return Err("its CRC is wrong");
    }
    Ok(&section[8..section.len() - 4])
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// CRC_32 (annex A); nothing is left of a section that includes its own.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    })
}
