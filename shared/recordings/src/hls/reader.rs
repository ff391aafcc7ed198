//! Reads a media playlist line by line.

use media::time::{TimeRange, WallTime};

use super::{
    clock::{self, Step},
    playlist::locate,
    rows::Rows,
    tags,
};
use crate::{
    Error, MAX_SEGMENTS,
    coverage::Notices,
    track::{Address, Clock, Stretch},
};

/// What has been read, and what was said for the segment to come.
#[derive(Debug, Clone, Default)]
pub(super) struct Reader {
    name: String,
    /// How many lines were read.
    lines: usize,
    pub(super) rows: Rows,
    pub(super) inits: Vec<Address>,
    pub(super) stretches: Vec<Stretch>,
    pub(super) clocks: Vec<(usize, Clock)>,
    /// What is marked as missing.
    pub(super) declared: Vec<TimeRange>,
    pub(super) notices: Notices,
    pub(super) has_dates: bool,
    pub(super) is_ended: bool,
    /// Whether `#EXT-X-ENDLIST` was read: nothing counts after it.
    is_over: bool,
    clock: clock::Clock,
    /// End of all that was recorded so far: what a clock that was set back brings again isn't taken twice.
    recorded: Option<WallTime>,
    duration: Option<i64>,
    date: Option<WallTime>,
    byte_range: Option<(u64, Option<u64>)>,
    /// The URI of the byte range before, and where that ends.
    last_bytes: Option<(String, u64)>,
    is_gap: bool,
    /// The next segment can't be in the stretch of the one before.
    is_apart: bool,
    /// The next segment starts a clock.
    is_clocked: bool,
}

impl Reader {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), is_apart: true, is_clocked: true, ..Self::default() }
    }

    /// Reads lines.
    pub(super) fn lines(&mut self, text: &str) -> Result<(), Error> {
        for line in text.lines() {
            self.lines += 1;
            let content = line.trim();
            if content == "#EXT-X-ENDLIST" {
                (self.is_ended, self.is_over) = (true, true);
            }
            if self.is_over {
                break;
            }
            if let Err(problem) = self.line(content) {
                return Err(problem.at(&self.name, self.lines));
            }
        }
        Ok(())
    }

    /// Checks what only the end tells.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.stretches.retain(|stretch| !stretch.range.is_empty());
        if !self.inits.is_empty() && self.stretches.iter().any(|stretch| stretch.init.is_none()) {
            return Err(Error::unsupported(&self.name, "has init segments for only some of its segments"));
        }
        Ok(())
    }

    fn line(&mut self, line: &str) -> Result<(), Problem> {
        match line {
            "" => Ok(()),
            _ if line.starts_with('#') => self.tag(line),
            _ => self.segment(line),
        }
    }

    fn tag(&mut self, line: &str) -> Result<(), Problem> {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXTINF" => self.duration = Some(tags::duration(value)?),
            "#EXT-X-PROGRAM-DATE-TIME" => self.date = Some(tags::date(value)?),
            "#EXT-X-BYTERANGE" => self.byte_range = Some(tags::byte_range(value)?),
            "#EXT-X-DISCONTINUITY" => (self.is_apart, self.is_clocked) = (true, true),
            "#EXT-X-GAP" => self.is_gap = true,
            "#EXT-X-MAP" => self.map(value)?,
            "#EXT-X-PLAYLIST-TYPE" if value.trim() == "VOD" => self.is_ended = true,
            "#EXT-X-KEY" if tags::attribute(value, "METHOD") != Some("NONE") => {
                return Err(Problem::Unsupported("its segments are encrypted"));
            }
            "#EXT-X-I-FRAMES-ONLY" => return Err(Problem::Unsupported("it has keyframes only")),
            "#EXT-X-SKIP" => return Err(Problem::Unsupported("it is a delta update")),
            "#EXT-X-DEFINE" => return Err(Problem::Unsupported("it has variables")),
            _ => {}
        }
        Ok(())
    }

    /// Another init segment ends the stretch, and starts a clock: segments are only read with the init segment they
    /// have.
    fn map(&mut self, value: &str) -> Result<(), Problem> {
        let uri = tags::attribute(value, "URI").ok_or("EXT-X-MAP has no URI")?;
        let name = locate(&self.name, uri).map_err(Problem::Other)?;
        let address = match tags::attribute(value, "BYTERANGE").map(tags::byte_range).transpose()? {
            Some((length, offset)) => Address { name, offset: offset.unwrap_or(0), length: Some(length) },
            None => Address::whole(name),
        };
        if self.inits.last() != Some(&address) {
            self.inits.push(address);
            (self.is_apart, self.is_clocked) = (true, true);
        }
        Ok(())
    }

    fn segment(&mut self, uri: &str) -> Result<(), Problem> {
        let duration = self.duration.take().ok_or("a segment has no EXTINF before it")?;
        if self.rows.len() == MAX_SEGMENTS {
            return Err("it has more than 2,000,000 segments".into());
        }
        let bytes = self.bytes(uri)?;
        let counted = self.clock.now();
        let (start, step) = self.clock.start(self.date.take());
        let end = self.clock.advance(duration).ok_or("its time runs beyond the year 2262")?;
        match step {
            Step::Continues => {}
            Step::Corrected => self.is_clocked = true,
            Step::Jumps => {
                self.note_jump(start, counted, uri);
                (self.is_apart, self.is_clocked) = (true, true);
            }
            Step::Dates(shift) => self.date_back(shift),
        }
        if std::mem::take(&mut self.is_gap) {
            self.is_apart = true;
            self.declare(TimeRange::new(start, end));
            return Ok(());
        }
        self.place(TimeRange::new(start, end), uri, bytes)
    }

    fn note_jump(&mut self, start: WallTime, counted: WallTime, uri: &str) {
        let millis = start.nanos_since(counted) / 1_000_000;
        if millis < 0 {
            let uri = crate::error::excerpt(uri);
            let text = format!("the clock is set back by {} ms at {uri}: what is there twice was taken once", -millis);
            self.notices.add(start, text);
        }
    }

    /// Notes what is marked as missing; neighbours are one.
    fn declare(&mut self, range: TimeRange) {
        match self.declared.last_mut().filter(|last| last.end == range.start) {
            Some(last) => last.end = range.end,
            None => self.declared.push(range),
        }
    }

    /// The bytes of the segment at `uri`. Without an offset they follow on those before (RFC 8216 §4.3.2.2).
    fn bytes(&mut self, uri: &str) -> Result<Option<(u64, u64)>, Problem> {
        let Some((length, offset)) = self.byte_range.take() else {
            self.last_bytes = None;
            return Ok(None);
        };
        let follows = self.last_bytes.as_ref().filter(|(last, _)| last == uri).map(|(_, end)| *end);
        let offset = offset.or(follows).ok_or("a byte range has no offset, and follows on none")?;
        let end = offset.checked_add(length).ok_or("a byte range is too large")?;
        self.last_bytes = Some((uri.to_owned(), end));
        Ok(Some((offset, length)))
    }

    /// Puts a segment into the stretch of the one before, or begins another.
    fn place(&mut self, mut range: TimeRange, uri: &str, bytes: Option<(u64, u64)>) -> Result<(), Problem> {
        let index = self.rows.len();
        if std::mem::take(&mut self.is_clocked) {
            self.clocks.push((index, Clock::FirstKeyframe { segment: index, wall: range.start }));
        }
        let recorded = self.recorded.map_or(range.start, |recorded| recorded.max(range.start));
        match self.stretches.last_mut().filter(|_| !self.is_apart) {
            Some(stretch) => {
                // After a correction, the segment before ends where this one starts.
                if let Some(before) = self.rows.end_last(range.start) {
                    range.start = range.start.max(before);
                }
                stretch.segments.end = index + 1;
                stretch.range.end = range.end.max(stretch.range.start);
            }
            None => {
                let init = self.inits.len().checked_sub(1);
                let range = TimeRange::new(recorded, range.end);
                self.stretches.push(Stretch { segments: index..index + 1, range, init });
            }
        }
        self.is_apart = false;
        self.recorded = Some(recorded.max(range.end));
        self.rows.push(range, uri, bytes)?;
        Ok(())
    }

    /// The first date tells when all segments before it were.
    fn date_back(&mut self, shift: i64) {
        let shifted = |wall: &mut WallTime| *wall = wall.saturating_add_nanos(shift);
        self.has_dates = true;
        self.recorded.as_mut().map(shifted);
        self.rows.shift(shift);
        self.notices.shift(shift);
        for range in &mut self.declared {
            shifted(&mut range.start);
            shifted(&mut range.end);
        }
        for stretch in &mut self.stretches {
            shifted(&mut stretch.range.start);
            shifted(&mut stretch.range.end);
        }
        for (_, clock) in &mut self.clocks {
            let (Clock::Ticks { wall, .. } | Clock::FirstKeyframe { wall, .. }) = clock;
            shifted(wall);
        }
    }
}

/// What is wrong with a line.
enum Problem {
    Unusable(&'static str),
    Unsupported(&'static str),
    Other(Error),
}

impl From<&'static str> for Problem {
    fn from(reason: &'static str) -> Self {
        Self::Unusable(reason)
    }
}

impl Problem {
    fn at(self, name: &str, line: usize) -> Error {
        match self {
            Self::Unusable(reason) => Error::unusable(name, format!("line {line}: {reason}")),
            Self::Unsupported(reason) => Error::unsupported(name, format!("line {line}: {reason}")),
            Self::Other(error) => error,
        }
    }
}
