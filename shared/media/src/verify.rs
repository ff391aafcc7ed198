//! Reopening a finished file and comparing it with what was to be written. An exit code of 0 is no proof: a full disk, a
//! muxer's limits and damaged sources all end without an error now and then (reliability.md E8, E11).

use std::{fs::File, thread};

use crate::{
    Container, Error, Format,
    digest::{FileDigest, digest},
    ffmpeg::{Decoder, Demuxer, Frame, Packet, empty_packet},
    source::{dts, frame_nanos, pts},
    time::NANOS,
    ts,
};

/// How much of the start and of the end of a clip with encoded edges is decoded: beyond any usual GOP.
const EDGE: i64 = 3 * NANOS;
/// Decoding an edge ends here, whatever its length.
const MAX_EDGE_FRAMES: usize = 600;
/// Readers of an edit list take the time for which frames are held back to be put in order off the length of some files;
/// no decoder holds back more (ITU-T H.264 §A.3.1). How many frames there are is checked exactly.
const MAX_REORDERED: i64 = 16;

/// What a finished file should be.
pub(crate) struct Expected {
    pub(crate) container: Container,
    /// Packets written to each track; `None` where the muxer adds some of its own.
    pub(crate) tracks: Vec<Option<u64>>,
    /// Which of them is the video.
    pub(crate) video: Option<usize>,
    /// Playing time in nanoseconds.
    pub(crate) duration: i64,
    /// Hidden before the start, in nanoseconds.
    pub(crate) hidden: i64,
    /// Whether frames were encoded next to copied ones: then the seams are decoded.
    pub(crate) encoded: bool,
    /// Whether the source is known to be damaged: then so is what was copied from it.
    pub(crate) is_damaged: bool,
}

/// Compares `file` with `expected`, makes sure that it is on the disk, and hashes it, unless that is done.
///
/// # Errors
/// `Verification`, naming the difference; `Io`, `NoSpace`.
pub(crate) fn verify(file: &File, expected: &Expected, known: Option<FileDigest>) -> Result<FileDigest, Error> {
    // Syncing waits for the disk, hashing for the processor, checking for neither.
    thread::scope(|scope| {
        let synced = scope.spawn(|| file.sync_data());
        let hashed = scope.spawn(|| known.map_or_else(|| digest(file), Ok));
        check(file, expected)?;
        synced.join().map_err(|_| Error::Internal("syncing panicked".into()))?.map_err(|error| io_error(&error))?;
        let digest = hashed.join().map_err(|_| Error::Internal("hashing panicked".into()))?;
        digest.map_err(|error| io_error(&error))
    })
}

fn io_error(error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull => Error::NoSpace,
        _ => Error::Io(format!("the output: {error}")),
    }
}

fn check(file: &File, expected: &Expected) -> Result<(), Error> {
    let wrong = |what: String| Error::Verification(what);
    let format = match expected.container {
        Container::Ts => Format::MpegTs,
        Container::Mov | Container::Mp4 => Format::Mp4,
    };
    let reader = || {
        use std::io::Seek;
        let mut copy = file.try_clone()?;
        copy.rewind()?;
        Ok::<_, std::io::Error>(copy)
    };
    let open = |thorough| {
        let reader = reader().map_err(|error| io_error(&error))?;
        Demuxer::open(reader, format, thorough).map_err(|error| wrong(error.to_string()))
    };
    let mut demuxer = open(format == Format::MpegTs)?;
    if demuxer.streams().len() != expected.tracks.len() {
        return Err(wrong(format!("{} tracks instead of {}", demuxer.streams().len(), expected.tracks.len())));
    }
    match format {
        Format::MpegTs => compare_units(file, &demuxer, expected)?,
        _ => compare_index(&demuxer, expected)?,
    }
    let Some(video) = expected.video else { return Ok(()) };
    if expected.encoded {
        check_edge(&mut demuxer, video, None, expected)?;
        let end = demuxer.streams()[video].start.unwrap_or(0)
            + demuxer.streams()[video].timebase.ticks_at_or_after((expected.duration - EDGE).max(0));
        let mut demuxer = open(format == Format::MpegTs)?;
        demuxer.seek(video, end)?;
        check_edge(&mut demuxer, video, Some(end), expected)
    } else {
        check_first_frame(&mut demuxer, video)
    }
}

/// An MP4's index tells how many samples there are, and how long they play.
fn compare_index(demuxer: &Demuxer, expected: &Expected) -> Result<(), Error> {
    for (index, (stream, packets)) in demuxer.streams().iter().zip(&expected.tracks).enumerate() {
        let found = stream.packets.unwrap_or(0);
        if packets.is_some_and(|packets| packets != found) {
            return Err(Error::Verification(format!(
                "track {index} has {found} frames instead of {}",
                packets.unwrap_or(0)
            )));
        }
        if Some(index) == expected.video {
            let length = stream.timebase.nanos(stream.duration.unwrap_or(0));
            let frame = frame_nanos(stream.info.frame_rate).unwrap_or(NANOS / 25);
            // The track's length covers hidden frames too in some forms of the index, and not in others.
            let difference =
                (length - expected.duration).abs().min((length - expected.duration - expected.hidden).abs());
            if difference > MAX_REORDERED * frame {
                return Err(Error::Verification(format!(
                    "the video plays for {length} ns instead of {} ns",
                    expected.duration
                )));
            }
        }
    }
    Ok(())
}

/// A TS has no index: it is read through.
fn compare_units(file: &File, demuxer: &Demuxer, expected: &Expected) -> Result<(), Error> {
    let scan = ts::scan(file).map_err(|error| io_error(&error))?;
    if let Some(fault) = scan.fault {
        return Err(Error::Verification(fault));
    }
    for (index, (stream, packets)) in demuxer.streams().iter().zip(&expected.tracks).enumerate() {
        let units = scan.units.get(&stream.id).copied().unwrap_or(0);
        // A picture is a PES packet of its own; several frames of sound share one.
        let packets = packets.unwrap_or(0);
        let is_whole = if Some(index) == expected.video { units == packets } else { units > 0 || packets == 0 };
        if !is_whole {
            return Err(Error::Verification(format!("track {index} has {units} PES packets instead of {packets}")));
        }
    }
    Ok(())
}

/// Decodes a stretch around a seam: every packet must give its frame, none damaged.
fn check_edge(demuxer: &mut Demuxer, video: usize, from: Option<i64>, expected: &Expected) -> Result<(), Error> {
    let stream = demuxer.streams()[video].clone();
    let mut decoder = Decoder::open(&stream, 2)?;
    let mut tally = FrameTally::default();
    let mut packets = 0;
    let mut packet = empty_packet();
    while demuxer.read(&mut packet)? && packets < MAX_EDGE_FRAMES {
        if packet.stream() != video || (packets == 0 && !packet.is_key()) {
            continue;
        }
        if packets == 0 {
            tally.start = pts(&packet);
        }
        // The start is checked up to here; the end is read to the end.
        let is_done = from.is_none() && stream.timebase.nanos(dts(&packet) - tally.start) > EDGE && packet.is_key();
        if is_done {
            break;
        }
        // Pictures that lead the first keyframe refer to what isn't decoded here.
        packets += usize::from(pts(&packet) >= tally.start);
        tally.decode(&mut decoder, Some(&packet))?;
    }
    tally.decode(&mut decoder, None)?;
    if (tally.frames != packets || tally.damaged > 0) && !expected.is_damaged {
        let which = if from.is_none() { "start" } else { "end" };
        return Err(Error::Verification(format!(
            "at the {which}, {packets} coded frames gave {} pictures, {} of them damaged",
            tally.frames, tally.damaged
        )));
    }
    Ok(())
}

/// A copy is as good as its source; the first frame that it shows must decode.
fn check_first_frame(demuxer: &mut Demuxer, video: usize) -> Result<(), Error> {
    let stream = demuxer.streams()[video].clone();
    let mut decoder = Decoder::open(&stream, 1)?;
    let mut tally = FrameTally { start: i64::MIN, ..FrameTally::default() };
    let mut packets = 0;
    let mut packet = empty_packet();
    // Frames that an edit list hides are decoded, but not handed out.
    while tally.frames == 0 && packets < MAX_EDGE_FRAMES && demuxer.read(&mut packet)? {
        if packet.stream() == video {
            packets += 1;
            tally.decode(&mut decoder, Some(&packet))?;
        }
    }
    if tally.frames == 0 {
        tally.decode(&mut decoder, None)?;
    }
    if tally.frames == 0 {
        return Err(Error::Verification("the first frame can't be decoded".into()));
    }
    Ok(())
}

/// Counts frames from `start` on.
#[derive(Default)]
struct FrameTally {
    start: i64,
    frames: usize,
    damaged: usize,
}

impl FrameTally {
    /// Decodes `packet`, or, without one, what the decoder still holds.
    fn decode(&mut self, decoder: &mut Decoder, packet: Option<&Packet>) -> Result<(), Error> {
        let mut each = |frame: Frame| {
            if frame.pts().is_some_and(|pts| pts >= self.start) {
                self.frames += 1;
                self.damaged += usize::from(frame.is_damaged());
            }
            Ok(())
        };
        match packet {
            Some(packet) => decoder.decode(packet, &mut each),
            None => decoder.finish(&mut each),
        }
    }
}
