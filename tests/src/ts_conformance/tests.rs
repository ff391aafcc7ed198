use std::process::Command;

use super::*;

/// A stream that FFmpeg wrote with everything as often as it should be.
fn conforming() -> Vec<u8> {
    let arguments = "-v error -f lavfi -i testsrc=d=3:s=128x96:r=25 -f lavfi -i sine=d=3 -c:v libx264 -bf 2 -c:a aac \
                     -muxrate 2M -pcr_period 40 -pat_period 0.1 -f mpegts -";
    let output = Command::new("ffmpeg").args(arguments.split_ascii_whitespace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn complains(bytes: &[u8], what: &str) {
    let found = violations(bytes);
    assert!(found.iter().any(|violation| violation.contains(what)), "{what}: {found:?}");
}

/// The place of the `nth` packet that `is_wanted`.
fn find(bytes: &[u8], nth: usize, is_wanted: impl Fn(&Packet<'_>) -> bool) -> usize {
    let packets = bytes.chunks_exact(PACKET).enumerate();
    let packets = packets.filter_map(|(index, bytes)| parse(index, bytes, &mut Report(Vec::new())));
    packets.filter(is_wanted).nth(nth).unwrap().index * PACKET
}

#[test]
fn a_good_stream_is_good_and_each_fault_is_seen() {
    let good = conforming();
    assert_eq!(violations(&good), Vec::<String>::new());
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let video = |packet: &Packet<'_>| packet.pid == 0x100;
    let of_pat = find(&good, 2, |packet| packet.pid == 0);
    let of_video = find(&good, 9, video);
    complains(&good[..good.len() - 1], "whole number of packets");
    complains(&changed(of_video, 0x46), "begins with 0x46");
    complains(&changed(of_video + 1, good[of_video + 1] | 0x80), "transport_error");
    complains(&changed(of_video + 3, good[of_video + 3] ^ 1), "counts");
    complains(&changed(of_pat + 12, good[of_pat + 12] ^ 1), "CRC");
    let without = |pid: u16| -> Vec<u8> {
        let is_kept = |bytes: &&[u8]| u16::from_be_bytes([bytes[1] & 0x1f, bytes[2]]) != pid;
        good.chunks_exact(PACKET).filter(is_kept).flatten().copied().collect()
    };
    complains(&without(0), "no PAT");
    complains(&without(0x1000), "no PMT");
    complains(&without(0x101), "has no packet");
    let start = find(&good, 3, |packet| video(packet) && packet.starts_unit);
    let mut late = good.clone();
    late.drain(start..start + PACKET);
    complains(&late, "counts");
}

#[test]
fn tables_and_clocks_that_are_rare_are_seen() {
    let arguments = "-v error -f lavfi -i testsrc=d=3:s=128x96:r=25 -c:v libx264 -pat_period 2 -flush_packets 0 \
                     -pcr_period 500 -muxrate 1M -f mpegts -";
    let output = Command::new("ffmpeg").args(arguments.split_ascii_whitespace()).output().unwrap();
    complains(&output.stdout, "no PAT for");
    complains(&output.stdout, "the PCR in packet");
}

#[test]
fn noise_is_refused_without_a_crash() {
    let seed = fastrand::u64(..);
    println!("SEED={seed}");
    let (mut random, good) = (fastrand::Rng::with_seed(seed), conforming());
    for _ in 0..50 {
        let mut bytes = good.clone();
        for _ in 0..random.usize(1..200) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        violations(&bytes);
    }
}
