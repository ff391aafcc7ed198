//! What the program map of a transport stream says that FFmpeg 5.1 forgets.

use std::io::{self, Read};

use super::{PACKET, pid_of, sections::program_map};

/// A program map comes each 100 ms, and at the start of a segment.
const MAX_BYTES: usize = 4 << 20;
/// stream_type of metadata in PES packets (ISO/IEC 13818-1 table 2-34): synchronous, with a header for each unit.
const METADATA: u8 = 0x15;

/// The PIDs whose metadata is synchronous; none if no program map is found.
///
/// # Errors
/// What reading says.
pub(crate) fn synchronous_pids(reader: &mut dyn Read) -> io::Result<Vec<u16>> {
    let (mut map_pid, mut section) = (None, Vec::new());
    let mut packet = [0; PACKET];
    for _ in 0..MAX_BYTES / PACKET {
        match reader.read_exact(&mut packet) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            other => other?,
        }
        let (pid, begins) = (pid_of(&packet), packet[1] & 0x40 != 0);
        let start = if packet[3] & 0x20 != 0 { 5 + usize::from(packet[4]) } else { 4 };
        let Some(payload) = packet.get(start..).filter(|_| packet[3] & 0x10 != 0) else { continue };
        if pid == 0 && begins {
            map_pid = map_pid.or_else(|| first_program(payload));
        } else if Some(pid) == map_pid && (begins || !section.is_empty()) {
            if begins {
                section.clear();
            }
            section.extend(payload);
            if let Some(map) = program_map(&section) {
                return Ok(metadata(&map));
            }
        }
    }
    Ok(Vec::new())
}

/// PID of the map of the first program in a program association; program 0 is the network.
fn first_program(payload: &[u8]) -> Option<u16> {
    let section = payload.get(1 + usize::from(*payload.first()?)..)?;
    let length = 3 + (usize::from(section.get(1)? & 0x0f) << 8 | usize::from(*section.get(2)?));
    let programs = section.get(8..length.checked_sub(4)?)?;
    let program = programs.chunks_exact(4).find(|program| program[..2] != [0, 0])?;
    Some(u16::from(program[2] & 0x1f) << 8 | u16::from(program[3]))
}

fn metadata(map: &[u8]) -> Vec<u16> {
    let mut pids = Vec::new();
    let mut at = 12 + (usize::from(map[10] & 0x0f) << 8 | usize::from(map[11]));
    while let Some(entry) = map.get(at..at + 5).filter(|_| at + 5 <= map.len() - 4) {
        if entry[0] == METADATA {
            pids.push(u16::from(entry[1] & 0x1f) << 8 | u16::from(entry[2]));
        }
        at += 5 + (usize::from(entry[3] & 0x0f) << 8 | usize::from(entry[4]));
    }
    pids
}
