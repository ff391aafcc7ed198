//! Smart cut of H.264: only what a mark falls into is encoded again, to match the source; the rest is copied.
//!
//! ```text
//! source   I b b P b b P | I b b P … I b b P b b P
//! mark-in          ^            mark-out     ^
//! clip             [enc] | I b b P … I b b P [enc]
//! ```
//!
//! Head: from mark-in to the first IDR frame, since nothing after that refers back. Tail: what the last clean cut before
//! mark-out leaves over. Encoded frames use parameter sets of their own, under an id that the source leaves free, so both
//! decode side by side without a change of the source's slices.

use super::{Bounds, CutPacket, Cutter, encode::Recoder};
use crate::{
    Error,
    ffmpeg::{Encoder, EncoderSettings, Packet, Stream, VideoShape, extradata, new_packet, share},
    nal::{self, CodingStyle, Framing, ParameterSets},
    plan::cut_tail,
    source::{dts, pts},
};

/// Constant rate factor of the encoded edges: hardly told from the source even where the picture is busy.
const EDGE_CRF: &str = "14";

/// How the encoded frames of a stream must be, and how its packets go out. The same for all spans of a clip.
#[derive(Clone)]
pub(crate) struct SmartStyle {
    shape: VideoShape,
    settings: EncoderSettings,
    source_framing: Framing,
    output_framing: Framing,
    source_sets: ParameterSets,
    edge_sets: ParameterSets,
    extradata: Vec<u8>,
}

impl SmartStyle {
    /// The style for `stream`; `annex_b` if the output wants start codes.
    ///
    /// # Errors
    /// `Unsupported`, with the reason, if frames that match can't be made: the clip can only be encoded as a whole.
    pub(crate) fn of(stream: &Stream, annex_b: bool) -> Result<Self, Error> {
        let source = extradata(&stream.parameters);
        let source_sets = ParameterSets::of(source);
        if !source_sets.is_complete() {
            return Err(Error::Unsupported("the stream carries no parameter sets up front".into()));
        }
        let style = source_sets.style().map_err(|error| Error::Unsupported(error.to_string()))?;
        let id = source_sets.free_id().ok_or_else(|| Error::Unsupported("all parameter set ids are taken".into()))?;
        let shape = VideoShape::of_parameters(&stream.parameters)
            .ok_or_else(|| Error::Unsupported("the pixel format isn't known".into()))?;
        let settings = edge_settings(stream, &style, id)?;
        // Opened once to learn the parameter sets, which an MP4 wants before the first frame.
        let edge_sets = ParameterSets::of(extradata(&Encoder::open(&shape, &settings)?.parameters()));
        let source_framing = Framing::of(source);
        let output_framing = if annex_b { Framing::AnnexB } else { source_framing };
        let all = source_sets.with(&edge_sets);
        let extradata = match (annex_b, source_framing) {
            (true, _) => all.extradata(&[]),
            (false, _) => all.extradata(source),
        };
        Ok(Self { shape, settings, source_framing, output_framing, source_sets, edge_sets, extradata })
    }

    /// Codec configuration with the parameter sets of both.
    pub(crate) fn extradata(&self) -> &[u8] {
        &self.extradata
    }

    /// A packet of the source as the output wants it.
    fn copied(&self, packet: &Packet) -> CutPacket {
        let packet = match self.output_framing {
            Framing::AnnexB => {
                let data = packet.data().unwrap_or_default();
                new_packet(&nal::to_annex_b(self.source_framing, data, packet.is_key(), &self.source_sets), packet)
            }
            Framing::Length(_) => share(packet),
        };
        CutPacket { packet, encoded: false }
    }

    fn is_idr(&self, packet: &Packet) -> bool {
        packet.is_key() && nal::is_idr(self.source_framing, packet.data().unwrap_or_default())
    }
}

fn edge_settings(stream: &Stream, style: &CodingStyle, id: u32) -> Result<EncoderSettings, Error> {
    let profile = match style.profile {
        66 => "baseline",
        77 => "main",
        100 => "high",
        110 => "high10",
        122 => "high422",
        244 => "high444",
        other => return Err(Error::Unsupported(format!("H.264 profile {other} can't be matched"))),
    };
    // One B-frame would change the reordering depth, and with it the decoding times of the copied frames.
    let tuning = format!("sps-id={id}:bframes=0:open-gop=0:aud=0:ref={}", style.references.clamp(1, 16));
    Ok(EncoderSettings {
        encoder: "libx264",
        options: vec![
            ("preset", "veryfast".into()),
            ("crf", EDGE_CRF.into()),
            ("bf", "0".into()),
            ("profile", profile.into()),
            ("x264-params", tuning),
        ],
        level: Some(style.level.into()),
        interlaced: style.interlaced,
        timebase: stream.timebase,
        frame_rate: stream.info.frame_rate,
    })
}

/// Cuts one span.
pub(crate) struct SmartCutter<'a> {
    stream: &'a Stream,
    style: &'a SmartStyle,
    bounds: Bounds,
    head: Option<Recoder>,
    /// Whether copying has begun.
    copying: bool,
    /// PTS less DTS of the source's keyframes: how long a decoder holds frames back to put them in order.
    delay: i64,
    /// The GOP being read, held until it is known to lie before mark-out whole, and the one before, which the leading
    /// pictures of an open GOP refer to.
    gop: Vec<Packet>,
    previous: Vec<Packet>,
    first: bool,
}

impl<'a> SmartCutter<'a> {
    pub(crate) fn new(stream: &'a Stream, style: &'a SmartStyle, bounds: Bounds) -> Self {
        let (gop, previous) = (Vec::new(), Vec::new());
        Self { stream, style, bounds, head: None, copying: false, delay: 0, gop, previous, first: true }
    }

    /// A run of frames that is decoded and encoded to match the source.
    fn edge(&self, bounds: Bounds) -> Result<Recoder, Error> {
        let mut edge = Recoder::new(self.stream, &self.style.shape, &self.style.settings, bounds)?;
        edge.strict = true;
        Ok(edge)
    }

    /// Frames from mark-in to the first frame that copying can begin with.
    fn push_head(&mut self, packet: &Packet, out: &mut Vec<CutPacket>) -> Result<bool, Error> {
        let head = match &mut self.head {
            Some(head) => head,
            None => self.head.insert(self.edge(self.bounds)?),
        };
        let (style, delay) = (self.style, self.delay);
        head.feed(Some(packet), &mut |packet| out.push(style.encoded(packet, delay)))?;
        Ok(!head.reached_end)
    }

    fn push_copied(&mut self, packet: Packet, out: &mut Vec<CutPacket>) -> Result<bool, Error> {
        // Leading pictures of the keyframe that copying began with refer to frames that were encoded anew.
        if pts(&packet) < self.bounds.base {
            return Ok(true);
        }
        if packet.is_key() && pts(&packet) < self.bounds.mark_out {
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
        let mut emit = |packet: &Packet| out.push(self.style.encoded(packet, self.delay));
        let preroll = if tail.copied == 0 { &self.previous[..] } else { &[] };
        for packet in preroll.iter().chain(&self.gop) {
            edge.feed(Some(packet), &mut emit)?;
        }
        edge.finish(&mut emit)
    }
}

impl Cutter for SmartCutter<'_> {
    fn push(&mut self, packet: Packet, out: &mut Vec<CutPacket>) -> Result<bool, Error> {
        let first = std::mem::take(&mut self.first);
        if first {
            self.delay = (pts(&packet) - dts(&packet)).max(0);
        }
        let can_copy = pts(&packet) >= self.bounds.base && self.style.is_idr(&packet);
        if !self.copying && can_copy && pts(&packet) < self.bounds.mark_out {
            if let Some(mut head) = self.head.take() {
                head.bounds.mark_out = pts(&packet);
                let (style, delay) = (self.style, self.delay);
                head.finish(&mut |packet| out.push(style.encoded(packet, delay)))?;
            }
            self.delay = (pts(&packet) - dts(&packet)).max(0);
            self.copying = true;
        }
        if self.copying { self.push_copied(packet, out) } else { self.push_head(&packet, out) }
    }

    fn finish(&mut self, out: &mut Vec<CutPacket>) -> Result<(), Error> {
        match self.head.take() {
            Some(head) => {
                let (style, delay) = (self.style, self.delay);
                head.finish(&mut |packet| out.push(style.encoded(packet, delay)))
            }
            None => self.cut_tail(out),
        }
    }
}

impl SmartStyle {
    /// A packet of the encoder as the output wants it, decoded as long before it is shown as the source's are.
    fn encoded(&self, packet: &Packet, delay: i64) -> CutPacket {
        let data = packet.data().unwrap_or_default();
        let data = nal::from_encoder(data, self.output_framing, packet.is_key(), &self.edge_sets);
        let mut packet = new_packet(&data, packet);
        packet.set_dts(packet.pts().map(|pts| pts - delay));
        CutPacket { packet, encoded: true }
    }
}
