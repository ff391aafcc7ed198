//! The program clock: when each packet arrives, by the PCRs around it (ISO/IEC 13818-1 §2.4.2.2).

use super::{PCR_INTERVAL, Packet, Report};

/// PCRs count to this, then begin again.
const WRAP: i64 = (1 << 33) * 300;

/// The PCRs of a stream: index of the packet, time, and whether the clock begins anew with it.
pub(super) struct Clock(Vec<(usize, i64, bool)>);

/// program_clock_reference (§2.4.3.5), in ticks of 27 MHz.
pub(super) fn pcr(field: &[u8]) -> i64 {
    let word = field.iter().fold(0_i64, |word, byte| word << 8 | i64::from(*byte));
    (word >> 15) * 300 + (word & 0x1ff)
}

/// How much later one time is than another, where both may have wrapped.
fn after(time: i64, other: i64) -> i64 {
    (time - other + WRAP / 2).rem_euclid(WRAP) - WRAP / 2
}

impl Clock {
    /// Reads the PCRs of `pid`, and reports those that come late or go back.
    pub(super) fn read(packets: &[Packet<'_>], pid: u16, report: &mut Report) -> Self {
        let of_program = packets.iter().filter(|packet| packet.pid == pid);
        let mut times: Vec<_> =
            of_program.filter_map(|packet| Some((packet.index, packet.pcr?, packet.discontinuity))).collect();
        if times.is_empty() {
            report.add(format!("there is no PCR in PID {pid:#x}"));
            times.push((0, 0, false));
        }
        for pair in times.windows(2).filter(|pair| !pair[1].2) {
            let step = after(pair[1].1, pair[0].1);
            if step <= 0 || step > PCR_INTERVAL {
                report.add(format!("the PCR in packet {} comes {} ms after the last", pair[1].0, step / 27_000));
            }
        }
        Self(times)
    }

    /// When a packet arrives: between two PCRs at an even pace, before and after all at the pace nearby.
    fn at(&self, packet: usize) -> i64 {
        let next = self.0.partition_point(|(index, ..)| *index <= packet).clamp(1, self.0.len().max(2) - 1);
        let Some(((from, start, _), (to, end, false))) = self.0.get(next - 1).copied().zip(self.0.get(next).copied())
        else {
            return self.0[next.min(self.0.len()) - 1].1;
        };
        // A stream may end with padding, which takes no time.
        let passed = (packet as i64 - from as i64).min(to as i64 - from as i64);
        start + after(end, start) * passed / (to - from) as i64
    }

    /// Ticks between the arrival of two packets.
    pub(super) fn between(&self, first: usize, last: usize) -> i64 {
        after(self.at(last), self.at(first))
    }

    /// Ticks from the arrival of a packet until `time`, a PTS or DTS.
    pub(super) fn until(&self, packet: usize, time: i64) -> i64 {
        after(time * 300, self.at(packet))
    }
}
