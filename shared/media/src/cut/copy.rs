//! Cutting without encoding: whole GOPs at the start, a clean cut at the end.

use super::{Bounds, CutPacket, Cutter};
use crate::{
    Error,
    ffmpeg::Packet,
    plan::cut_after,
    source::{dts, pts},
};

/// Copies from the keyframe before mark-in to the first clean cut after mark-out.
pub(crate) struct CopyCutter {
    bounds: Bounds,
    /// The keyframe that the copy begins with; pictures before it can't be decoded.
    first: Option<i64>,
    /// Packets since the last keyframe.
    held: Vec<Packet>,
}

impl CopyCutter {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, first: None, held: Vec::new() }
    }
}

impl Cutter for CopyCutter {
    fn push(&mut self, packet: Packet, out: &mut Vec<CutPacket>) -> Result<bool, Error> {
        let first = *self.first.get_or_insert(pts(&packet));
        if pts(&packet) < first {
            return Ok(true);
        }
        if packet.is_key() && pts(&packet) < self.bounds.mark_out {
            out.extend(self.held.drain(..).map(|packet| CutPacket { packet, encoded: false }));
        }
        let is_past = dts(&packet) >= self.bounds.mark_out;
        self.held.push(packet);
        if !is_past {
            return Ok(true);
        }
        // Frames shown before mark-out may still be to come only as long as decoding times are below it. The cut is clean
        // once what is held beyond it has all been seen.
        let times: Vec<i64> = self.held.iter().map(pts).collect();
        let cut = cut_after(&times, self.bounds.mark_out);
        let latest = times[..cut].iter().copied().max().unwrap_or(i64::MIN);
        Ok(self.held.last().is_none_or(|last| dts(last) <= latest))
    }

    fn finish(&mut self, out: &mut Vec<CutPacket>) -> Result<(), Error> {
        let times: Vec<i64> = self.held.iter().map(pts).collect();
        let cut = cut_after(&times, self.bounds.mark_out);
        out.extend(self.held.drain(..).take(cut).map(|packet| CutPacket { packet, encoded: false }));
        Ok(())
    }
}
