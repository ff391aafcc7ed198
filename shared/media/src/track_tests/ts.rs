//! Reading transport streams byte by byte, and adding a track to one: FFmpeg can't write what broadcasters send.

/// Bytes in a packet.
const PACKET: usize = 188;

/// A transport stream of one program.
pub(super) struct Ts(Vec<Vec<u8>>);

/// A program map.
pub(super) struct Map {
    /// Descriptors of the program.
    pub(super) program: Vec<u8>,
    /// stream_type, PID and descriptors of each track.
    pub(super) tracks: Vec<(u8, u16, Vec<u8>)>,
}

/// A track to add: its map entry, what the program needs for it, and its units with the ticks after the first picture that
/// each comes at.
pub(super) struct Added<'a> {
    pub(super) kind: u8,
    pub(super) pid: u16,
    pub(super) descriptors: &'a [u8],
    pub(super) program: &'a [u8],
    pub(super) is_sections: bool,
    pub(super) units: &'a [(i64, Vec<u8>)],
}

fn pid(packet: &[u8]) -> u16 {
    u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2])
}

fn payload(packet: &[u8]) -> &[u8] {
    match packet[3] >> 4 & 3 {
        1 => &packet[4..],
        3 => &packet[5 + usize::from(packet[4])..],
        _ => &[],
    }
}

/// The remainder of `bytes`, bit by bit.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut register = 0xffff_ffff_u32;
    for byte in bytes {
        for bit in (0..8).rev() {
            let carry = (register >> 31) as u8 ^ (byte >> bit & 1);
            register <<= 1;
            if carry == 1 {
                register ^= 0x04c1_1db7;
            }
        }
    }
    register
}

/// When a PES packet is presented; `None` if it doesn't say.
pub(super) fn stated_time(unit: &[u8]) -> Option<i64> {
    (unit[7] & 0x80 != 0).then(|| pes_time(unit))
}

/// When a PES packet is presented.
pub(super) fn pes_time(unit: &[u8]) -> i64 {
    assert_eq!((&unit[..3], unit[7] & 0x80), (&[0, 0, 1][..], 0x80));
    let at = |index: usize| i64::from(unit[index]);
    (at(9) >> 1 & 7) << 30 | at(10) << 22 | (at(11) >> 1) << 15 | at(12) << 7 | at(13) >> 1
}

/// A PES packet without a time.
pub(super) fn untimed_pes(stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() + 3;
    [&[0, 0, 1, stream, (length >> 8) as u8, length as u8, 0x84, 0, 0], payload].concat()
}

/// A PES packet that is presented at `time`.
pub(super) fn pes(stream: u8, time: i64, payload: &[u8]) -> Vec<u8> {
    let byte = |value: i64| (value & 0xff) as u8;
    let length = payload.len() + 8;
    let mut unit = vec![0, 0, 1, stream, (length >> 8) as u8, length as u8, 0x84, 0x80, 5];
    unit.push(0x21 | byte(time >> 29 & 0x0e));
    unit.extend([byte(time >> 22), byte(time >> 14) | 1, byte(time >> 7), byte(time << 1) | 1]);
    unit.extend(payload);
    unit
}

impl Ts {
    pub(super) fn read(path: &str) -> Self {
        let bytes = std::fs::read(path).expect("read");
        assert_eq!(bytes.len() % PACKET, 0);
        let packets: Vec<_> = bytes.chunks(PACKET).map(<[u8]>::to_vec).collect();
        assert!(packets.iter().all(|packet| packet[0] == 0x47));
        Self(packets)
    }

    fn map_pid(&self) -> u16 {
        let table = self.0.iter().find(|packet| pid(packet) == 0).expect("a program association");
        u16::from(payload(table)[11] & 0x1f) << 8 | u16::from(payload(table)[12])
    }

    /// The program map, the same wherever it is repeated.
    pub(super) fn map(&self) -> Map {
        let sections = self.units(self.map_pid());
        assert!(sections.iter().all(|section| section == &sections[0]));
        let section = &sections[0];
        assert_eq!(checksum(section), 0, "the map's checksum");
        let end = section.len() - 4;
        let length = |at: usize| usize::from(section[at] & 0x0f) << 8 | usize::from(section[at + 1]);
        let mut at = 12 + length(10);
        let program = section[12..at].to_vec();
        let mut tracks = Vec::new();
        while at < end {
            let next = at + 5 + length(at + 3);
            let pid = u16::from(section[at + 1] & 0x1f) << 8 | u16::from(section[at + 2]);
            tracks.push((section[at], pid, section[at + 5..next].to_vec()));
            at = next;
        }
        Map { program, tracks }
    }

    /// The PES packets, or the sections, of a PID.
    pub(super) fn units(&self, wanted: u16) -> Vec<Vec<u8>> {
        let mut units: Vec<Vec<u8>> = Vec::new();
        let mut counter = None;
        for packet in self.0.iter().filter(|packet| pid(packet) == wanted && packet[3] & 0x10 != 0) {
            let found = packet[3] & 0x0f;
            assert!(counter.is_none_or(|last: u8| (last + 1) & 0x0f == found), "PID {wanted} skips a packet");
            counter = Some(found);
            if packet[1] & 0x40 != 0 {
                units.push(Vec::new());
            }
            units.last_mut().expect("a start").extend(payload(packet));
        }
        units.into_iter().map(|unit| if unit[..3] == [0, 0, 1] { unit } else { section(&unit) }).collect()
    }

    /// The time of the first picture shown.
    pub(super) fn first_picture(&self) -> i64 {
        let map = self.map();
        let video = map.tracks.iter().find(|(kind, ..)| [0x1b, 0x24].contains(kind)).expect("video").1;
        self.units(video).iter().map(|unit| pes_time(unit)).min().expect("a picture")
    }

    /// The same with another track.
    pub(super) fn with(&self, added: &Added<'_>) -> Vec<u8> {
        let (map_pid, zero) = (self.map_pid(), self.first_picture());
        let video = self.map().tracks[0].1;
        let mut units = added.units.iter().peekable();
        let (mut counter, mut bytes) = (0, Vec::new());
        for packet in &self.0 {
            if pid(packet) == video && packet[1] & 0x40 != 0 {
                let now = pes_time(payload(packet)) - zero;
                while let Some((_, unit)) = units.next_if(|(ticks, _)| *ticks <= now) {
                    packetise(added, unit, &mut counter, &mut bytes);
                }
            }
            if pid(packet) == map_pid {
                bytes.extend(self.mapped(packet, added));
            } else {
                bytes.extend(packet);
            }
        }
        bytes
    }

    fn mapped(&self, packet: &[u8], added: &Added<'_>) -> Vec<u8> {
        let Map { mut program, mut tracks } = self.map();
        program.extend(added.program);
        tracks.push((added.kind, added.pid, added.descriptors.to_vec()));
        let mut body = vec![0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, program.len() as u8];
        body.extend(program);
        for (kind, pid, descriptors) in tracks {
            body.extend([kind, 0xe0 | (pid >> 8) as u8, pid as u8, 0xf0, descriptors.len() as u8]);
            body.extend(descriptors);
        }
        let mut section = vec![2, 0xb0, (body.len() + 4) as u8];
        section.extend(body);
        section.extend(checksum(&section).to_be_bytes());
        let mut whole = [&packet[..4], &[0], &section].concat();
        whole.resize(PACKET, 0xff);
        whole
    }
}

fn section(bytes: &[u8]) -> Vec<u8> {
    let start = 1 + usize::from(bytes[0]);
    let length = 3 + (usize::from(bytes[start + 1] & 0x0f) << 8 | usize::from(bytes[start + 2]));
    bytes[start..start + length].to_vec()
}

fn packetise(added: &Added<'_>, unit: &[u8], counter: &mut u8, bytes: &mut Vec<u8>) {
    let unit = if added.is_sections { [&[0], unit].concat() } else { unit.to_vec() };
    for (index, part) in unit.chunks(PACKET - 4).enumerate() {
        let start = if index == 0 { 0x40 } else { 0 };
        let head = [0x47, start | (added.pid >> 8) as u8, added.pid as u8];
        let room = PACKET - 4 - part.len();
        bytes.extend(head);
        // Sections are filled up behind, PES packets before (ISO/IEC 13818-1 §2.4.3.5).
        match room {
            0 => bytes.extend([&[0x10 | *counter], part].concat()),
            _ if added.is_sections => bytes.extend([&[0x10 | *counter], part, &vec![0xff; room]].concat()),
            1 => bytes.extend([&[0x30 | *counter, 0], part].concat()),
            _ => {
                let field = [&[0x30 | *counter, (room - 1) as u8, 0][..], &vec![0xff; room - 2]].concat();
                bytes.extend([&field[..], part].concat());
            }
        }
        *counter = (*counter + 1) & 0x0f;
    }
}
