//! Cutting what has a time but no length: pictures of subtitles, markers, metadata. They are copied as they are.

use std::collections::VecDeque;

use super::units::{in_cell, tag};

use crate::{
    carry::Events,
    ffmpeg::{Packet, new_packet},
    source::pts,
    ts::{announced, stamped},
};

/// More events than this after the end of a clip are nobody's to keep.
const MAX_HELD: usize = 256;

/// Cuts one track of events of one span.
pub(crate) struct EventCutter {
    /// The instant that is to be the clip's zero, in ticks of the track.
    base: i64,
    /// The first instant not wanted. Until it is final, what lies beyond is held.
    mark_out: i64,
    is_final: bool,
    kind: Events,
    /// What was shown last before the clip.
    last: Option<Packet>,
    held: VecDeque<Packet>,
}

impl EventCutter {
    pub(crate) fn new(base: i64, mark_out: i64, kind: Events) -> Self {
        Self { base, mark_out, is_final: false, kind, last: None, held: VecDeque::new() }
    }

    /// Takes the next packet of the track, and appends those that belong to the clip to `out`.
    pub(crate) fn push(&mut self, mut packet: Packet, out: &mut Vec<Packet>) {
        let time = pts(&packet);
        if time >= self.mark_out {
            if !self.is_final && self.held.len() < MAX_HELD {
                self.held.push_back(packet);
            }
        } else if time >= self.base {
            self.write_last(out);
            out.push(self.finished(packet));
        } else if self.kind == Events::Lasting {
            self.last = Some(packet);
        } else if self.concerns_clip(&packet) {
            self.move_to_base(&mut packet);
            out.push(self.finished(packet));
        }
    }

    /// Whether what comes before the clip announces a splice in it.
    fn concerns_clip(&self, packet: &Packet) -> bool {
        let section = packet.data().unwrap_or_default();
        let ahead = (self.kind == Events::Splices).then(|| announced(pts(packet), section)).flatten();
        ahead.is_some_and(|ahead| (self.base..self.mark_out).contains(&pts(packet).saturating_add(ahead)))
    }

    fn move_to_base(&self, packet: &mut Packet) {
        packet.set_pts(Some(self.base));
        packet.set_dts(Some(self.base));
    }

    /// The packet as the muxer wants it: times inside of splice information are moved when it is written, by as much as
    /// its own.
    fn finished(&self, packet: Packet) -> Packet {
        match self.kind {
            Events::Splices => new_packet(&stamped(pts(&packet), packet.data().unwrap_or_default()), &packet),
            Events::Cells => new_packet(&in_cell(packet.data().unwrap_or_default()), &packet),
            Events::Tags => new_packet(&tag(packet.data().unwrap_or_default()), &packet),
            Events::Momentary | Events::Lasting => packet,
        }
    }

    /// Says where the clip really ends; not before where it was meant to.
    pub(crate) fn settle(&mut self, mark_out: i64, out: &mut Vec<Packet>) {
        (self.mark_out, self.is_final) = (mark_out, true);
        self.write_last(out);
        while let Some(packet) = self.held.pop_front() {
            self.push(packet, out);
        }
    }

    fn write_last(&mut self, out: &mut Vec<Packet>) {
        if let Some(mut last) = self.last.take() {
            self.move_to_base(&mut last);
            out.push(last);
        }
    }
}
