//! Reads a transport stream as a receiver would, byte by byte, and says what is wrong with it: ISO/IEC 13818-1, and the
//! limits of ETSI TR 101 290 §5.2 (first and second priority). It shares nothing with FFmpeg.

mod clock;
mod pes;
mod psi;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use clock::Clock;
use pes::PesHeader;
use psi::Program;

/// Bytes in a packet.
const PACKET: usize = 188;
/// Ticks of the PCR in a second.
const PCR_SECOND: i64 = 27_000_000;
/// TR 101 290 §5.2.1, 1.3.a and 1.5.a: PAT and PMT come at least so often.
const TABLE_INTERVAL: i64 = PCR_SECOND / 2;
/// ISO/IEC 13818-1 §2.7.2: PCRs come at least so often.
const PCR_INTERVAL: i64 = PCR_SECOND / 10;
/// TR 101 290 §5.2.2, 2.5: PTS come at least so often, in ticks of 1/90000 s.
const PTS_INTERVAL: i64 = 63_000;
/// The longest that a decoder holds data before it is due (ISO/IEC 13818-1 §2.4.2.7).
const HELD: i64 = PCR_SECOND;
/// A packet that carries nothing.
const NULL: u16 = 0x1fff;
/// PIDs with a meaning of their own: tables of MPEG and of DVB (ETSI EN 300 468 §5.1.3).
const RESERVED: std::ops::Range<u16> = 0..0x20;
/// More violations than these say nothing new.
const MOST: usize = 20;

/// One packet, taken apart (ISO/IEC 13818-1 §2.4.3.2).
struct Packet<'a> {
    index: usize,
    pid: u16,
    starts_unit: bool,
    counter: u8,
    discontinuity: bool,
    pcr: Option<i64>,
    payload: Option<&'a [u8]>,
    bytes: &'a [u8],
}

/// What is wrong with a transport stream; empty if nothing is.
///
/// # Errors
/// If the file can't be read.
pub fn check(path: &Path) -> Result<Vec<String>> {
    Ok(violations(&std::fs::read(path).with_context(|| path.display().to_string())?))
}

fn violations(bytes: &[u8]) -> Vec<String> {
    let mut report = Report(Vec::new());
    if bytes.is_empty() || !bytes.len().is_multiple_of(PACKET) {
        report.add(format!("{} bytes are no whole number of packets", bytes.len()));
    }
    let chunks = bytes.chunks_exact(PACKET).enumerate();
    let packets: Vec<_> = chunks.filter_map(|(index, bytes)| parse(index, bytes, &mut report)).collect();
    check_counters(&packets, &mut report);
    let Some(program) = psi::read(&packets, &mut report) else {
        report.add("there is no program".into());
        return report.0;
    };
    let clock = Clock::read(&packets, program.pcr_pid, &mut report);
    check_references(&packets, &program, &mut report);
    check_tables(&program, &clock, packets.len(), &mut report);
    for (pid, kind) in &program.streams {
        check_stream(&packets, *pid, *kind, &clock, &mut report);
    }
    report.0
}

/// Violations found so far.
struct Report(Vec<String>);

impl Report {
    fn add(&mut self, violation: String) {
        if self.0.len() < MOST {
            self.0.push(violation);
        }
    }
}

fn parse<'a>(index: usize, bytes: &'a [u8], report: &mut Report) -> Option<Packet<'a>> {
    if bytes[0] != 0x47 {
        report.add(format!("packet {index} begins with {:#x}", bytes[0]));
        return None;
    }
    let pid = u16::from_be_bytes([bytes[1] & 0x1f, bytes[2]]);
    if bytes[1] & 0x80 != 0 {
        report.add(format!("packet {index} of PID {pid:#x} has transport_error_indicator"));
    }
    if bytes[3] & 0xc0 != 0 {
        report.add(format!("packet {index} of PID {pid:#x} is scrambled"));
    }
    let (has_field, has_payload) = (bytes[3] & 0x20 != 0, bytes[3] & 0x10 != 0);
    if !has_field && !has_payload {
        report.add(format!("packet {index} of PID {pid:#x} has neither payload nor adaptation field"));
    }
    let field = if has_field { bytes.get(5..5 + usize::from(bytes[4])) } else { Some(&bytes[..0]) };
    let Some(field) = field else {
        report.add(format!("packet {index} of PID {pid:#x} has an adaptation field of {} bytes", bytes[4]));
        return None;
    };
    let flags = field.first().copied().unwrap_or(0);
    let start = if has_field { 5 + field.len() } else { 4 };
    Some(Packet {
        index,
        pid,
        starts_unit: bytes[1] & 0x40 != 0,
        counter: bytes[3] & 0x0f,
        discontinuity: flags & 0x80 != 0,
        pcr: (flags & 0x10 != 0).then(|| field.get(1..7).map(clock::pcr)).flatten(),
        payload: (has_payload && start < PACKET).then(|| &bytes[start..]),
        bytes,
    })
}

/// Counters rise by one with each packet that has a payload; a packet may come twice (§2.4.3.3).
fn check_counters(packets: &[Packet<'_>], report: &mut Report) {
    let mut last: BTreeMap<u16, &Packet<'_>> = BTreeMap::new();
    for packet in packets.iter().filter(|packet| packet.pid != NULL) {
        if let Some(before) = last.insert(packet.pid, packet) {
            let step = u8::from(packet.payload.is_some());
            let is_next = packet.counter == (before.counter + step) & 0x0f;
            let is_twice = packet.bytes == before.bytes;
            if !is_next && !is_twice && !packet.discontinuity {
                report.add(format!(
                    "packet {} of PID {:#x} counts {} after {}",
                    packet.index, packet.pid, packet.counter, before.counter
                ));
            }
        }
    }
}

fn check_references(packets: &[Packet<'_>], program: &Program, report: &mut Report) {
    let mut unknown: Vec<_> = packets.iter().map(|packet| packet.pid).collect();
    unknown.sort_unstable();
    unknown.dedup();
    let is_known = |pid: &u16| {
        *pid == NULL
            || RESERVED.contains(pid)
            || *pid == program.pmt_pid
            || *pid == program.pcr_pid
            || program.streams.iter().any(|(known, _)| known == pid)
    };
    for pid in unknown.iter().filter(|pid| !is_known(pid)) {
        report.add(format!("no table refers to PID {pid:#x}"));
    }
    for (pid, kind) in program.streams.iter().filter(|(pid, _)| !unknown.contains(pid)) {
        // A track of captions may be silent throughout.
        if psi::is_continuous(*kind) {
            report.add(format!("PID {pid:#x} of the PMT has no packet"));
        }
    }
}

fn check_tables(program: &Program, clock: &Clock, packets: usize, report: &mut Report) {
    for (name, places) in [("PAT", &program.pat_places), ("PMT", &program.pmt_places)] {
        for pair in places.iter().copied().chain([packets]).collect::<Vec<_>>().windows(2) {
            let apart = clock.between(pair[0], pair[1]);
            if apart > TABLE_INTERVAL {
                report.add(format!("no {name} for {} ms after packet {}", apart / 27_000, pair[0]));
            }
        }
        if places.first().is_none_or(|first| *first > 2) {
            report.add(format!("the first {name} is packet {:?}", places.first()));
        }
    }
}

/// PES headers, their times, and the buffer that they ask for.
fn check_stream(packets: &[Packet<'_>], pid: u16, kind: u8, clock: &Clock, report: &mut Report) {
    let mut before: Option<PesHeader> = None;
    for unit in units(packets, pid) {
        let header = match pes::read(&unit, kind) {
            Ok(header) => header,
            Err(problem) => {
                report.add(format!("the PES of PID {pid:#x} in packet {}: {problem}", unit[0].index));
                continue;
            }
        };
        let at = format!("PID {pid:#x}, packet {}", unit[0].index);
        let Some((pts, dts)) = header.times else {
            if psi::is_continuous(kind) {
                report.add(format!("{at}: a PES without PTS"));
            }
            continue;
        };
        if pes::after(dts, pts) > 0 {
            report.add(format!("{at}: DTS {dts} is after PTS {pts}"));
        }
        if let Some((last_pts, last_dts)) = before.and_then(|before| before.times) {
            let step = pes::after(dts, last_dts);
            if step <= 0 {
                report.add(format!("{at}: DTS {dts} follows {last_dts}"));
            }
            if psi::is_continuous(kind) && pes::after(pts, last_pts).abs().max(step) > PTS_INTERVAL {
                report.add(format!("{at}: PTS {pts} follows {last_pts}"));
            }
        }
        check_buffer(&at, (pts, dts), clock, &unit, report);
        before = Some(header);
    }
}

/// Data is there before it is due, and no more than a second before.
fn check_buffer(at: &str, (pts, dts): (i64, i64), clock: &Clock, unit: &[&Packet<'_>], report: &mut Report) {
    let (Some(first), Some(last)) = (unit.first(), unit.last()) else { return };
    let early = clock.until(first.index, pts);
    if early > HELD || early <= 0 {
        report.add(format!("{at}: PTS − PCR is {} ms", early / 27_000));
    }
    let late = clock.until(last.index, dts);
    if late < 0 {
        report.add(format!("{at}: its last byte comes {} ms after its DTS", -late / 27_000));
    }
}

/// The packets of each PES of a PID.
fn units<'a, 'b>(packets: &'b [Packet<'a>], pid: u16) -> Vec<Vec<&'b Packet<'a>>> {
    let mut units: Vec<Vec<&Packet<'_>>> = Vec::new();
    for packet in packets.iter().filter(|packet| packet.pid == pid && packet.payload.is_some()) {
        match units.last_mut() {
            Some(unit) if !packet.starts_unit => unit.push(packet),
            _ => units.push(vec![packet]),
        }
    }
    units
}

#[cfg(test)]
mod tests;
