//! Cutting what has a time but no length: pictures of subtitles, markers, metadata. They are copied as they are.

use std::collections::VecDeque;

use crate::{ffmpeg::Packet, source::pts};

/// More events than this after the end of a clip are nobody's to keep.
const MAX_HELD: usize = 4_096;

/// Cuts one track of events of one span.
pub(crate) struct EventCutter {
    /// The instant that is to be the clip's zero, in ticks of the track.
    base: i64,
    /// The first instant not wanted. Until it is final, what lies beyond is held.
    mark_out: i64,
    is_final: bool,
    /// Whether what was shown last before the clip is shown at its start.
    lasts: bool,
    last: Option<Packet>,
    held: VecDeque<Packet>,
}

impl EventCutter {
    /// `lasts` if an event holds until the next, as a picture does that stays on the screen.
    pub(crate) fn new(base: i64, mark_out: i64, lasts: bool) -> Self {
        Self { base, mark_out, is_final: false, lasts, last: None, held: VecDeque::new() }
    }

    /// Takes the next packet of the track, and appends those that belong to the clip to `out`.
    pub(crate) fn push(&mut self, packet: Packet, out: &mut Vec<Packet>) {
        let time = pts(&packet);
        if time >= self.mark_out {
            if !self.is_final && self.held.len() < MAX_HELD {
                self.held.push_back(packet);
            }
        } else if time >= self.base {
            self.write_last(out);
            out.push(packet);
        } else if self.lasts {
            self.last = Some(packet);
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
            last.set_pts(Some(self.base));
            last.set_dts(Some(self.base));
            out.push(last);
        }
    }
}
