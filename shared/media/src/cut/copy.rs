//! Cutting without encoding: whole GOPs at the start, a clean cut at the end.

use super::{Bounds, Continuation, CutPacket, Cutter, Reframe, reframe::keep_news};
use crate::{
    Error,
    ffmpeg::Packet,
    nal::ParameterSets,
    plan::cut_after,
    source::{dts, pts},
};

/// Copies from the keyframe before mark-in to the first clean cut after mark-out.
pub(crate) struct CopyCutter<'a> {
    reframe: Option<&'a Reframe>,
    bounds: Bounds,
    /// The keyframe that the copy begins with; pictures before it can't be decoded.
    first: Option<i64>,
    /// Packets since the last keyframe.
    held: Vec<Packet>,
    news: Option<ParameterSets>,
}

impl<'a> CopyCutter<'a> {
    /// `reframe` is for streams of NAL units.
    /// Where the span goes on from one that was copied, nothing is left out.
    pub(crate) fn new(reframe: Option<&'a Reframe>, bounds: Bounds, continuation: Option<Continuation>) -> Self {
        let first = continuation.map(|_| i64::MIN);
        Self { reframe, bounds, first, held: Vec::new(), news: None }
    }

    /// Lets the first `count` packets that are held go.
    fn release(&mut self, count: usize, out: &mut Vec<CutPacket>) {
        for packet in self.held.drain(..).take(count) {
            let Some(reframe) = self.reframe else {
                out.push(CutPacket { packet, encoded: false });
                continue;
            };
            keep_news(&mut self.news, reframe.news(&packet));
            out.push(reframe.copied(&packet));
        }
    }
}

impl Cutter for CopyCutter<'_> {
    fn push(&mut self, packet: Packet, out: &mut Vec<CutPacket>) -> Result<bool, Error> {
        let first = *self.first.get_or_insert(pts(&packet));
        if pts(&packet) < first {
            return Ok(true);
        }
        if packet.is_key() && pts(&packet) < self.bounds.mark_out {
            self.release(self.held.len(), out);
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
        self.release(cut, out);
        Ok(())
    }

    fn copies_to_end(&self) -> bool {
        self.bounds.mark_out == i64::MAX
    }

    fn news(&self) -> Option<&ParameterSets> {
        self.news.as_ref()
    }
}
