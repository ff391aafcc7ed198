//! Black where nothing was recorded.

use std::collections::VecDeque;

use crate::{
    Error,
    cut::{Encode, dressed},
    ffmpeg::{Encoder, Frame, Packet},
    source::frame_nanos,
    time::{Rounding, Timebase},
};

/// Black pictures for a gap, as packets whose times are those of the file. They are made as they are asked for.
pub(super) struct Fill {
    black: Encode,
    encoder: Encoder,
    picture: Frame,
    timebase: Timebase,
    /// Where in the file it begins, in nanoseconds.
    offset: i64,
    /// Length of a frame in nanoseconds.
    frame: i64,
    /// How long before it is shown a frame is decoded, in ticks.
    delay: i64,
    /// Frames to make, and how many are made.
    count: i64,
    made: i64,
    ready: VecDeque<Packet>,
}

impl Fill {
    /// Black at `offset` of the file for `length` nanoseconds; `None` if that is less than half a frame.
    ///
    /// # Errors
    /// `Unsupported` if the stream has no frame rate.
    pub(super) fn new(
        black: &Encode,
        timebase: Timebase,
        offset: i64,
        length: i64,
        delay: i64,
    ) -> Result<Option<Self>, Error> {
        let frame = frame_nanos(black.settings.frame_rate)
            .ok_or_else(|| Error::Unsupported("a gap can't be filled: the video has no frame rate".into()))?;
        let count = (length + frame / 2) / frame;
        if count <= 0 {
            return Ok(None);
        }
        let black = black.in_timebase(timebase);
        let encoder = Encoder::open(&black.shape, &black.settings)?;
        let picture = Frame::black(&black.shape)?;
        let ready = VecDeque::new();
        Ok(Some(Self { black, encoder, picture, timebase, offset, frame, delay, count, made: 0, ready }))
    }

    /// When frame `index` is shown, in ticks of the file.
    fn time(&self, index: i64) -> i64 {
        Timebase::NANOS.rescale(self.offset + index * self.frame, self.timebase, Rounding::Nearest)
    }

    /// The next packet; `None` at the end.
    ///
    /// # Errors
    /// `Internal` if black can't be encoded.
    pub(super) fn next(&mut self) -> Result<Option<Packet>, Error> {
        while self.ready.is_empty() && self.made <= self.count {
            let time = self.time(self.made);
            let Self { encoder, ready, picture, black, delay, .. } = self;
            let style = black.style.as_ref();
            let mut each = |packet: &mut Packet| {
                let mut packet = dressed(style, packet)?.packet;
                if style.is_some() {
                    packet.set_dts(packet.pts().map(|pts| pts - *delay));
                }
                ready.push_back(packet);
                Ok(())
            };
            if self.made < self.count {
                encoder.encode(picture, time, &mut each)?;
            } else {
                encoder.finish(&mut each)?;
            }
            self.made += 1;
        }
        let Some(mut packet) = self.ready.pop_front() else { return Ok(None) };
        packet.set_duration(self.time(1) - self.time(0));
        Ok(Some(packet))
    }
}
