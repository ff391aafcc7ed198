//! Sections in a transport stream that is being written. FFmpeg 5.1 wraps all that it doesn't know into PES packets of
//! private data; splice information (SCTE 35) must be sections, of a stream type of its own, in a program that says so.
//! What goes through here is whole packets; those of the program map and of the marked PIDs are taken apart and put
//! together anew, everything else stays as it is.

use std::{
    collections::BTreeMap,
    io::{self, Seek, SeekFrom, Write},
};

use super::{PACKET, pid_of};

/// PID of the program map in what FFmpeg writes.
const PMT_PID: u16 = 0x1000;
/// stream_type of splice information (SCTE 35 §8.1), and the registration that goes with it.
const SPLICE_TYPE: u8 = 0x86;
const CUEI: [u8; 6] = [0x05, 4, b'C', b'U', b'E', b'I'];
/// The longest section (ISO/IEC 13818-1 §2.4.4), and the longest PES packet that holds one.
const MAX_SECTION: usize = 4_096;
const MAX_UNIT: usize = 2 * MAX_SECTION;
/// Time stamps have so many bits.
const CLOCK: u64 = (1 << 33) - 1;
/// Bytes of the stamp in front of a section: when it was, by the clock of the source.
const STAMP: usize = 8;

/// A section of splice information that was at `time` of the source's clock, ready for a [`SectionWriter`].
pub(crate) fn stamped(time: i64, section: &[u8]) -> Vec<u8> {
    [&time.to_be_bytes()[..], section].concat()
}

/// How long after `time` of the source's clock the splice is that `section` announces, if it names a time: in ticks,
/// negative if it is before.
pub(crate) fn announced(time: i64, section: &[u8]) -> Option<i64> {
    // SCTE 35 §9.6: what is encrypted tells nothing.
    if section.len() < 20 || section[0] != 0xfc || section[4] & 0x80 != 0 {
        return None;
    }
    let splice = match section[13] {
        // splice_insert: not cancelled, of the whole program, not immediate.
        5 if section[18] & 0x80 == 0 && section.get(19)? & 0x50 == 0x40 => section.get(20..25)?,
        // time_signal
        6 => section.get(14..19)?,
        _ => return None,
    };
    if splice[0] & 0x80 == 0 {
        return None;
    }
    let ticks = (field(splice) + adjustment(section)) & CLOCK;
    let ahead = ticks.wrapping_sub(time as u64) & CLOCK;
    // The nearer of both ways round.
    Some(if ahead > CLOCK / 2 { ahead as i64 - CLOCK as i64 - 1 } else { ahead as i64 })
}

/// The 33 bits that end five bytes.
fn field(bytes: &[u8]) -> u64 {
    bytes.iter().take(5).fold(0, |value, byte| value << 8 | u64::from(*byte)) & CLOCK
}

/// pts_adjustment: added to each time in the section.
fn adjustment(section: &[u8]) -> u64 {
    field(&section[4..9])
}

/// Adds `shift` to all times in `section`.
fn shift_times(section: &mut [u8], shift: u64) {
    let moved = (adjustment(section) + shift) & CLOCK;
    section[4] = section[4] & 0xfe | (moved >> 32) as u8;
    section[5..9].copy_from_slice(&(moved as u32).to_be_bytes());
    sign(section);
}

/// Writes the checksum of a section that has changed.
fn sign(section: &mut [u8]) {
    let body = section.len() - 4;
    let sum = crc(&section[..body]);
    section[body..].copy_from_slice(&sum.to_be_bytes());
}

/// CRC_32 (ISO/IEC 13818-1 annex A).
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte) << 24,
            |sum, _| {
                if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 }
            },
        )
    })
}

/// Writes a transport stream in which some PIDs carry sections.
pub(crate) struct SectionWriter<W> {
    inner: W,
    position: u64,
    /// Less than a packet.
    rest: Vec<u8>,
    /// What is being put together anew, by PID.
    units: BTreeMap<u16, Unit>,
}

/// The payload of one PID.
#[derive(Default)]
struct Unit {
    bytes: Vec<u8>,
    counter: u8,
}

impl<W: Write> SectionWriter<W> {
    /// `pids` are those whose PES packets hold stamped sections.
    pub(crate) fn new(inner: W, pids: &[u16]) -> Self {
        let units = pids.iter().chain([&PMT_PID]).map(|pid| (*pid, Unit::default())).collect();
        Self { inner, position: 0, rest: Vec::new(), units }
    }

    fn take(&mut self, packet: &[u8]) -> io::Result<()> {
        let pid = pid_of(packet);
        let Some(unit) = self.units.get_mut(&pid) else { return self.inner.write_all(packet) };
        let begins = packet[1] & 0x40 != 0;
        let has_field = packet[3] & 0x20 != 0;
        let start = if has_field { 5 + usize::from(packet[4]) } else { 4 };
        let payload = packet.get(start..).filter(|_| packet[3] & 0x10 != 0).unwrap_or_default();
        if begins {
            unit.bytes.clear();
        }
        // More than fits is none of ours.
        if unit.bytes.len() <= MAX_UNIT {
            unit.bytes.extend(payload);
        }
        let section = if pid == PMT_PID { program_map(&unit.bytes) } else { splice(&unit.bytes) };
        let Some(mut section) = section else { return Ok(()) };
        unit.bytes.clear();
        if pid == PMT_PID {
            let pids = self.units.keys().copied().filter(|pid| *pid != PMT_PID).collect::<Vec<_>>();
            section = with_splices(&section, &pids).unwrap_or(section);
        }
        self.write_section(pid, &section)
    }

    /// Writes a section in packets of its own (§2.4.4).
    fn write_section(&mut self, pid: u16, section: &[u8]) -> io::Result<()> {
        let Some(unit) = self.units.get_mut(&pid) else { return Ok(()) };
        // The pointer says that the section begins at once.
        let bytes = [&[0], section].concat();
        for (index, payload) in bytes.chunks(PACKET - 4).enumerate() {
            let mut packet = [0xff; PACKET];
            let start = if index == 0 { 0x40 } else { 0 };
            packet[..4].copy_from_slice(&[0x47, start | (pid >> 8) as u8, pid as u8, 0x10 | unit.counter]);
            packet[4..4 + payload.len()].copy_from_slice(payload);
            unit.counter = (unit.counter + 1) & 0x0f;
            self.inner.write_all(&packet)?;
        }
        Ok(())
    }
}

impl<W: Write> Write for SectionWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.position += buffer.len() as u64;
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend(buffer);
        let mut packets = bytes.chunks_exact(PACKET);
        for packet in &mut packets {
            self.take(packet)?;
        }
        self.rest = packets.remainder().to_vec();
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W> Seek for SectionWriter<W> {
    /// It is written from front to back: the only place to go to is where it is.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) | SeekFrom::End(offset) => self.position.checked_add_signed(offset),
        };
        if target == Some(self.position) { Ok(self.position) } else { Err(io::ErrorKind::Unsupported.into()) }
    }
}

/// The section that begins behind the pointer in `bytes`, once it is whole.
pub(super) fn program_map(bytes: &[u8]) -> Option<Vec<u8>> {
    let section = bytes.get(1 + usize::from(*bytes.first()?)..)?;
    let length = 3 + (usize::from(section.get(1)? & 0x0f) << 8 | usize::from(*section.get(2)?));
    section.get(..length).filter(|section| section.len() >= 16).map(<[u8]>::to_vec)
}

/// The section in the PES packet that `bytes` are, once it is whole, its times moved to the clock of the packet.
fn splice(bytes: &[u8]) -> Option<Vec<u8>> {
    let length = 6 + (usize::from(*bytes.get(4)?) << 8 | usize::from(*bytes.get(5)?));
    let packet = bytes.get(..length)?;
    let payload = packet.get(9 + usize::from(*packet.get(8)?)..)?;
    let stamp: [u8; STAMP] = payload.get(..STAMP)?.try_into().ok()?;
    // The time stamp of a PES packet (§2.4.3.6).
    let time = packet.get(9..14).filter(|_| packet[7] & 0x80 != 0)?;
    let time = u64::from(time[0] >> 1 & 7) << 30
        | u64::from(time[1]) << 22
        | u64::from(time[2] >> 1) << 15
        | u64::from(time[3]) << 7
        | u64::from(time[4] >> 1);
    let mut section = payload[STAMP..].to_vec();
    if section.len() < 13 + 4 || section.len() > MAX_SECTION {
        return None;
    }
    shift_times(&mut section, time.wrapping_sub(i64::from_be_bytes(stamp) as u64) & CLOCK);
    Some(section)
}

/// The program map with `pids` as splice information, and the registration that they need.
fn with_splices(section: &[u8], pids: &[u16]) -> Option<Vec<u8>> {
    let end = section.len() - 4;
    let described = 12 + (usize::from(section[10] & 0x0f) << 8 | usize::from(section[11]));
    let mut program = section.get(12..described)?.to_vec();
    program.extend(CUEI);
    let mut streams = Vec::new();
    let mut position = described;
    while position < end {
        let entry = section.get(position..position + 5)?;
        let size = 5 + (usize::from(entry[3] & 0x0f) << 8 | usize::from(entry[4]));
        let pid = u16::from(entry[1] & 0x1f) << 8 | u16::from(entry[2]);
        if pids.contains(&pid) {
            // What describes private data doesn't describe this.
            streams.extend([SPLICE_TYPE, entry[1], entry[2], 0xf0, 0]);
        } else {
            streams.extend(section.get(position..(position + size).min(end))?);
        }
        position += size;
    }
    let mut out = section[..10].to_vec();
    out.extend([0xf0 | (program.len() >> 8) as u8, program.len() as u8]);
    out.extend(program);
    out.extend(streams);
    let length = out.len() + 4 - 3;
    (out[1], out[2]) = (0xb0 | (length >> 8) as u8, length as u8);
    out.extend([0; 4]);
    sign(&mut out);
    (length <= 1_021).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time_signal for `time` (SCTE 35 §14.1, shortened).
    fn time_signal(time: u64) -> Vec<u8> {
        let mut section = vec![0xfc, 0x30, 0x16, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xf0, 0x05, 0x06];
        section.extend([0xfe | (time >> 32) as u8]);
        section.extend((time as u32).to_be_bytes());
        section.extend([0, 0, 0, 0, 0, 0]);
        sign(&mut section);
        section
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // The example of SCTE 35 §14.2 (splice_insert).
        let hex =
            "fc302f000000000000fffff014054800008f7feffe7369c02efe0052ccf500000000000a0008435545490000013562dba30a";
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        assert_eq!(crc(&bytes), 0);
        assert_eq!(announced(0x7369_c02e - 90_000, &bytes), Some(90_000));
    }

    #[test]
    fn times_are_shifted_round_the_clock() {
        let mut section = time_signal(1_000);
        assert_eq!(announced(400, &section), Some(600));
        assert_eq!(announced(1_600, &section), Some(-600));
        shift_times(&mut section, CLOCK - 499);
        assert_eq!(crc(&section), 0);
        assert_eq!(adjustment(&section), CLOCK - 499);
        assert_eq!(announced(400, &section), Some(100));
        assert_eq!(announced(CLOCK as i64, &section), Some(501));
    }

    #[test]
    fn damaged_sections_are_passed_over() {
        let section = time_signal(7);
        for length in 0..section.len() {
            let _ = announced(0, &section[..length]);
            let _ = splice(&section[..length]);
            let _ = program_map(&section[..length]);
        }
        let mut map = vec![2, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(with_splices(&map, &[1]), None);
        (map[10], map[11]) = (0xf0, 0);
        assert!(with_splices(&map, &[1]).is_some());
    }
}
