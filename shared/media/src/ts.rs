//! Reading a finished transport stream for conformance (ISO/IEC 13818-1): sync bytes, continuity, and how many PES packets
//! each PID carries. It looks at four bytes of each packet, so that it takes no longer than reading does.

mod map;
mod sections;

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt};

pub(crate) use map::synchronous_pids;
pub(crate) use sections::{SectionWriter, announced, stamped};

/// Bytes in a packet.
const PACKET: usize = 188;
/// Packets read at once.
const BLOCK: usize = PACKET * 4096;
/// PID of packets that carry nothing.
const NULL_PID: u16 = 0x1fff;

/// What a transport stream holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TsScan {
    /// How many PES packets or sections begin, for each PID.
    pub(crate) units: BTreeMap<u16, u64>,
    /// What is wrong first, and at which byte.
    pub(crate) fault: Option<String>,
}

/// Reads `file` from front to back.
///
/// # Errors
/// What reading says.
pub(crate) fn scan(file: &File) -> io::Result<TsScan> {
    let mut scan = TsScan::default();
    let mut counters = vec![None; 1 << 13];
    let mut block = vec![0; BLOCK];
    let mut position = 0;
    loop {
        let read = read_block(file, &mut block, position)?;
        for (index, packet) in block[..read].chunks(PACKET).enumerate() {
            if scan.fault.is_none() {
                let problem = scan.take(packet, &mut counters);
                scan.fault = problem.map(|problem| format!("{problem} at byte {}", position + (index * PACKET) as u64));
            }
        }
        if read < BLOCK || scan.fault.is_some() {
            return Ok(scan);
        }
        position += read as u64;
    }
}

impl TsScan {
    /// Takes a packet; says what is wrong with it.
    fn take(&mut self, packet: &[u8], counters: &mut [Option<u8>]) -> Option<String> {
        if packet.len() < PACKET || packet[0] != 0x47 {
            return Some("no packet begins".into());
        }
        let pid = pid_of(packet);
        let has_payload = packet[3] & 0x10 != 0;
        if pid == NULL_PID {
            return None;
        }
        if packet[1] & 0x40 != 0 {
            *self.units.entry(pid).or_default() += 1;
        }
        // It counts packets with a payload, modulo 16 (§2.4.3.3).
        let counter = packet[3] & 0x0f;
        let last = counters[usize::from(pid)].replace(counter)?;
        let expected = if has_payload { (last + 1) & 0x0f } else { last };
        (counter != expected).then(|| format!("PID {pid} counts {counter} after {last}"))
    }
}

/// The PID of a whole packet.
fn pid_of(packet: &[u8]) -> u16 {
    u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2])
}

/// Fills `block`, but for the end of the file.
fn read_block(file: &File, block: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match file.read_at(&mut block[filled..], position + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packet(pid: u16, counter: u8, starts: bool) -> [u8; PACKET] {
        let mut packet = [0xff; PACKET];
        packet[0] = 0x47;
        packet[1] = (pid >> 8) as u8 | if starts { 0x40 } else { 0 };
        packet[2] = pid as u8;
        packet[3] = 0x10 | counter;
        packet
    }

    fn scanned(packets: &[[u8; PACKET]]) -> TsScan {
        let mut file = tempfile::tempfile().unwrap();
        packets.iter().for_each(|packet| file.write_all(packet).unwrap());
        scan(&file).unwrap()
    }

    #[test]
    fn units_are_counted_for_each_pid() {
        let found =
            scanned(&[packet(256, 15, true), packet(257, 3, true), packet(256, 0, false), packet(256, 1, true)]);
        assert_eq!(found, TsScan { units: BTreeMap::from([(256, 2), (257, 1)]), fault: None });
    }

    #[test]
    fn a_lost_packet_is_found() {
        let found = scanned(&[packet(256, 1, true), packet(257, 9, true), packet(256, 3, false)]);
        assert_eq!(found.fault.as_deref(), Some("PID 256 counts 3 after 1 at byte 376"));
    }

    #[test]
    fn what_is_no_packet_is_found() {
        let mut bad = packet(256, 2, false);
        bad[0] = 0;
        assert_eq!(scanned(&[packet(256, 1, true), bad]).fault.as_deref(), Some("no packet begins at byte 188"));
    }
}
