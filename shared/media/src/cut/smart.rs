//! Smart cut of H.264 and HEVC: only what a mark falls into is encoded again, to match the source; the rest is copied.
//!
//! ```text
//! source   I b b P b b P | I b b P … I b b P b b P
//! mark-in          ^            mark-out     ^
//! clip             [enc] | I b b P … I b b P [enc]
//! ```
//!
//! Head: from mark-in to the first keyframe that nothing behind it looks past: IDR in H.264, any in HEVC, whose leading
//! pictures are encoded with the head. Tail: what the last clean cut before mark-out leaves over. Encoded frames use
//! parameter sets of their own, under ids that the source leaves free, so both decode side by side without a change of
//! the source's slices.

use super::{Bounds, Continuation, CutPacket, Cutter, SmartStyle, encode::Recoder, reframe::keep_news};
use crate::{
    Error,
    ffmpeg::{Packet, Stream, share},
    nal::{Access, ParameterSets},
    plan::cut_tail,
    source::{dts, pts},
};

/// Where a cutter stands.
enum State {
    /// Encoding, from mark-in on.
    Head,
    /// Encoding the pictures that lead the keyframe that copying begins with.
    Leading(Packet),
    /// Copying; what is shown before this time was encoded.
    Copying(i64),
}

/// Cuts one span.
pub(crate) struct SmartCutter<'a> {
    stream: &'a Stream,
    style: &'a SmartStyle,
    bounds: Bounds,
    state: State,
    head: Option<Recoder>,
    /// PTS less DTS of the source's keyframes: how long a decoder holds frames back to put them in order.
    delay: i64,
    /// The GOP being read, held until it is known to lie before mark-out whole, and the one before, which the leading
    /// pictures of an open GOP refer to.
    gop: Vec<Packet>,
    previous: Vec<Packet>,
    /// What the pictures of the head may refer to, until it is decoded.
    preroll: Vec<Packet>,
    first: bool,
    news: Option<ParameterSets>,
    /// Whether a frame to encode that is damaged is refused.
    strict: bool,
    damaged: u64,
}

impl<'a> SmartCutter<'a> {
    /// Behind a span that was copied to its end, copying goes on; behind another, the head is decoded from there on.
    pub(crate) fn new(
        stream: &'a Stream,
        style: &'a SmartStyle,
        bounds: Bounds,
        strict: bool,
        continuation: Option<Continuation>,
    ) -> Self {
        let (state, previous, preroll) = match continuation {
            None => (State::Head, Vec::new(), Vec::new()),
            Some(Continuation { preroll, is_copied: true }) => (State::Copying(i64::MIN), preroll, Vec::new()),
            Some(Continuation { preroll, is_copied: false }) => (State::Head, Vec::new(), preroll),
        };
        Self {
            stream,
            style,
            bounds,
            state,
            head: None,
            delay: 0,
            gop: Vec::new(),
            previous,
            preroll,
            first: true,
            news: None,
            strict,
            damaged: 0,
        }
    }

    /// A run of frames that is decoded and encoded to match the source.
    fn edge(&self, bounds: Bounds) -> Result<Recoder, Error> {
        let mut edge = Recoder::new(self.stream, &self.style.shape, &self.style.settings, bounds)?;
        edge.strict = self.strict;
        Ok(edge)
    }

    /// Frames from mark-in to the first frame that copying can begin with.
    fn push_head(&mut self, packet: &Packet, out: &mut Vec<CutPacket>) -> Result<bool, Error> {
        let head = match &mut self.head {
            Some(head) => head,
            None => {
                let mut edge = self.edge(self.bounds)?;
                // All of it is shown before the head.
                self.preroll.drain(..).try_for_each(|packet| edge.feed(Some(&packet), &mut |_| Ok(())))?;
                self.head.insert(edge)
            }
        };
        let (style, delay) = (self.style, self.delay);
        head.feed(Some(packet), &mut |packet| {
            out.push(style.encoded(packet, delay)?);
            Ok(())
        })?;
        Ok(!head.reached_end)
    }

    /// Ends the head before the keyframe `key`, and begins to copy with it.
    fn start_copying(&mut self, key: Packet, out: &mut Vec<CutPacket>) -> Result<bool, Error> {
        let start = pts(&key);
        if let Some(mut head) = self.head.take() {
            head.bounds.mark_out = head.bounds.mark_out.min(start);
            let (style, delay) = (self.style, self.delay);
            self.damaged += head.finish(&mut |packet| {
                out.push(style.encoded(packet, delay)?);
                Ok(())
            })?;
            if let Some(last) = out.last_mut() {
                style.end_sequence(&mut last.packet);
            }
        }
        self.delay = (start - dts(&key)).max(0);
        self.state = State::Copying(start);
        self.push_copied(key, start, out)
    }

    fn push_copied(&mut self, packet: Packet, start: i64, out: &mut Vec<CutPacket>) -> Result<bool, Error> {
        // What leads the keyframe that copying began with was encoded anew, or isn't wanted.
        if pts(&packet) < start {
            return Ok(true);
        }
        if packet.is_key() && pts(&packet) < self.bounds.mark_out && !self.gop.is_empty() {
            out.extend(self.gop.iter().map(|packet| self.style.copied(packet)));
            self.previous = std::mem::take(&mut self.gop);
        }
        let is_past = dts(&packet) >= self.bounds.mark_out;
        self.gop.push(packet);
        Ok(!is_past)
    }

    /// Copies up to the last clean cut, and encodes what is left before mark-out.
    fn cut_tail(&mut self, out: &mut Vec<CutPacket>) -> Result<(), Error> {
        let times: Vec<i64> = self.gop.iter().map(pts).collect();
        let tail = cut_tail(&times, self.bounds.mark_out);
        out.extend(self.gop[..tail.copied].iter().map(|packet| self.style.copied(packet)));
        if tail.encoded == 0 {
            return Ok(());
        }
        let from = times[..tail.copied].iter().max().map_or(i64::MIN, |latest| latest + 1);
        let from = self.previous.iter().map(|packet| pts(packet) + 1).fold(from, i64::max);
        let bounds = Bounds { base: from.max(self.bounds.base), mark_out: self.bounds.mark_out };
        let mut edge = self.edge(bounds)?;
        let mut emit = |packet: &Packet| {
            out.push(self.style.encoded(packet, self.delay)?);
            Ok(())
        };
        let preroll = if tail.copied == 0 { &self.previous[..] } else { &[] };
        for packet in preroll.iter().chain(&self.gop) {
            edge.feed(Some(packet), &mut emit)?;
        }
        self.damaged += edge.finish(&mut emit)?;
        Ok(())
    }

    /// The keyframe that the pictures being encoded lead, once they have all been seen: they are stored right behind it.
    fn led(&mut self, next: Option<&Packet>) -> Option<Packet> {
        match std::mem::replace(&mut self.state, State::Head) {
            State::Leading(key) if next.is_none_or(|next| pts(next) > pts(&key)) => Some(key),
            state => {
                self.state = state;
                None
            }
        }
    }
}

impl Cutter for SmartCutter<'_> {
    fn push(&mut self, packet: Packet, out: &mut Vec<CutPacket>) -> Result<bool, Error> {
        if std::mem::take(&mut self.first) {
            self.delay = (pts(&packet) - dts(&packet)).max(0);
        }
        keep_news(&mut self.news, self.style.source.news(&packet));
        if let Some(key) = self.led(Some(&packet)) {
            self.start_copying(key, out)?;
        }
        match &self.state {
            State::Copying(start) => self.push_copied(packet, *start, out),
            State::Head => match self.style.access(&packet, self.bounds) {
                Access::Clean => self.start_copying(packet, out),
                Access::Leading if self.head.is_none() && self.preroll.is_empty() => self.start_copying(packet, out),
                Access::Leading => {
                    self.state = State::Leading(share(&packet));
                    self.push_head(&packet, out).map(|_| true)
                }
                Access::None => self.push_head(&packet, out),
            },
            State::Leading(_) => self.push_head(&packet, out).map(|_| true),
        }
    }

    fn damaged(&self) -> u64 {
        self.damaged
    }

    fn copies_to_end(&self) -> bool {
        matches!(self.state, State::Copying(_)) && self.bounds.mark_out == i64::MAX
    }

    fn news(&self) -> Option<&ParameterSets> {
        self.news.as_ref()
    }

    fn finish(&mut self, out: &mut Vec<CutPacket>) -> Result<(), Error> {
        if let Some(key) = self.led(None) {
            self.start_copying(key, out)?;
        }
        match self.head.take() {
            Some(head) => {
                let (style, delay) = (self.style, self.delay);
                self.damaged += head.finish(&mut |packet| {
                    out.push(style.encoded(packet, delay)?);
                    Ok(())
                })?;
                Ok(())
            }
            None => self.cut_tail(out),
        }
    }
}
