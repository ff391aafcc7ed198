//! Reads a media playlist line by line.

use media::time::{TimeRange, WallTime};

use super::{
    clock::{self, Step},
    playlist::{Row, locate},
    tags,
};
use crate::{
    Error, MAX_SEGMENTS,
    track::{Address, Clock, Stretch},
};

/// What has been read, and what was said for the segment to come.
#[derive(Default)]
pub(super) struct Reader<'a> {
    name: &'a str,
    pub(super) rows: Vec<Row>,
    /// As long as `rows`, or empty if no segment is a byte range: offset and length.
    pub(super) byte_ranges: Vec<Option<(u64, u64)>>,
    pub(super) inits: Vec<Address>,
    pub(super) stretches: Vec<Stretch>,
    pub(super) clocks: Vec<(usize, Clock)>,
    pub(super) has_dates: bool,
    pub(super) is_ended: bool,
    clock: clock::Clock,
    /// End of all that was recorded so far: what a clock that was set back brings again isn't taken twice.
    recorded: Option<WallTime>,
    duration: Option<i64>,
    date: Option<WallTime>,
    byte_range: Option<(u64, Option<u64>)>,
    /// The URI of the byte range before, and where that ends.
    last_bytes: Option<(&'a str, u64)>,
    is_gap: bool,
    /// The next segment can't be in the stretch of the one before.
    is_apart: bool,
    /// The next segment starts a clock.
    is_clocked: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn read(name: &'a str, text: &'a str) -> Result<Self, Error> {
        if !text.trim_start_matches('\u{FEFF}').starts_with("#EXTM3U") {
            return Err(Error::unusable(name, "is not an HLS playlist: it does not begin with #EXTM3U"));
        }
        let mut reader = Self { name, is_apart: true, is_clocked: true, ..Self::default() };
        let mut offset = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let content = line.trim();
            if content == "#EXT-X-ENDLIST" {
                reader.is_ended = true;
                break;
            }
            // A line without its end may still be in the writing.
            if !line.ends_with('\n') && !reader.is_ended {
                break;
            }
            reader.line(content, offset).map_err(|problem| problem.at(name, number + 1))?;
            offset += line.len();
        }
        reader.finish()
    }

    fn finish(mut self) -> Result<Self, Error> {
        self.stretches.retain(|stretch| !stretch.range.is_empty());
        if !self.inits.is_empty() && self.stretches.iter().any(|stretch| stretch.init.is_none()) {
            return Err(Error::unsupported(self.name, "has init segments for only some of its segments"));
        }
        Ok(self)
    }

    fn line(&mut self, line: &'a str, offset: usize) -> Result<(), Problem> {
        match line {
            "" => Ok(()),
            _ if line.starts_with('#') => self.tag(line),
            _ => self.segment(line, offset),
        }
    }

    fn tag(&mut self, line: &'a str) -> Result<(), Problem> {
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
        let name = locate(self.name, uri).map_err(Problem::Other)?;
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

    fn segment(&mut self, uri: &'a str, offset: usize) -> Result<(), Problem> {
        let duration = self.duration.take().ok_or("a segment has no EXTINF before it")?;
        if self.rows.len() == MAX_SEGMENTS {
            return Err("it has more than 2,000,000 segments".into());
        }
        let uri_at = u32::try_from(offset).map_err(|_| "it is too long")?;
        let bytes = self.bytes(uri)?;
        let (start, step) = self.clock.start(self.date.take());
        let end = self.clock.advance(duration).ok_or("its time runs beyond the year 2262")?;
        match step {
            Step::Continues => {}
            Step::Corrected => self.is_clocked = true,
            Step::Jumps => (self.is_apart, self.is_clocked) = (true, true),
            Step::Dates(shift) => self.date_back(shift),
        }
        if std::mem::take(&mut self.is_gap) {
            self.is_apart = true;
            return Ok(());
        }
        if bytes.is_some() || !self.byte_ranges.is_empty() {
            self.byte_ranges.resize(self.rows.len(), None);
            self.byte_ranges.push(bytes);
        }
        self.place(Row { start, end, uri: uri_at });
        Ok(())
    }

    /// The bytes of the segment at `uri`. Without an offset they follow on those before (RFC 8216 §4.3.2.2).
    fn bytes(&mut self, uri: &'a str) -> Result<Option<(u64, u64)>, Problem> {
        let Some((length, offset)) = self.byte_range.take() else {
            self.last_bytes = None;
            return Ok(None);
        };
        let follows = self.last_bytes.filter(|(last, _)| *last == uri).map(|(_, end)| end);
        let offset = offset.or(follows).ok_or("a byte range has no offset, and follows on none")?;
        let end = offset.checked_add(length).ok_or("a byte range is too large")?;
        self.last_bytes = Some((uri, end));
        Ok(Some((offset, length)))
    }

    /// Puts a segment into the stretch of the one before, or begins another.
    fn place(&mut self, mut row: Row) {
        let index = self.rows.len();
        if std::mem::take(&mut self.is_clocked) {
            self.clocks.push((index, Clock::FirstKeyframe { segment: index, wall: row.start }));
        }
        let recorded = self.recorded.map_or(row.start, |recorded| recorded.max(row.start));
        match self.stretches.last_mut().filter(|_| !self.is_apart) {
            Some(stretch) => {
                // After a correction, the segment before ends where this one starts.
                if let Some(last) = self.rows.last_mut() {
                    row.start = row.start.max(last.start);
                    last.end = row.start;
                }
                stretch.segments.end = index + 1;
                stretch.range.end = row.end.max(stretch.range.start);
            }
            None => {
                let init = self.inits.len().checked_sub(1);
                let range = TimeRange::new(recorded, row.end);
                self.stretches.push(Stretch { segments: index..index + 1, range, init });
            }
        }
        self.is_apart = false;
        self.recorded = Some(recorded.max(row.end));
        self.rows.push(row);
    }

    /// The first date tells when all segments before it were.
    fn date_back(&mut self, shift: i64) {
        let shifted = |wall: &mut WallTime| *wall = wall.saturating_add_nanos(shift);
        self.has_dates = true;
        self.recorded.as_mut().map(shifted);
        for row in &mut self.rows {
            shifted(&mut row.start);
            shifted(&mut row.end);
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
