//! A rendition of a period, as a track.

use media::{
    Format,
    time::{TimeRange, WallTime},
};

use super::{
    Presentation, index,
    mpd::{Addressing, Period},
    period::{Bounds, Choice},
    table::{Naming, Table, stretches},
    template::Template,
    timeline::{Scale, Timeline},
};
use crate::{
    Error,
    error::excerpt,
    track::{Address, Clock, Track},
};

/// How much later than stated a presentation may end, in nanoseconds: FFmpeg cuts its duration to tenths of a second.
const END_SLACK: i64 = 100_000_000;

/// Which of the three ways of addressing a rendition has.
enum Kind {
    Template,
    List,
    Whole,
}

/// What a rendition's `SegmentTemplate`, `SegmentList` or `SegmentBase` says, completed by those of the levels above it
/// (ISO/IEC 23009-1 §5.3.9.1).
pub(super) struct Levels<'a>(Vec<&'a Addressing>);

impl<'a> Levels<'a> {
    pub(super) fn find<T>(&self, value: impl Fn(&'a Addressing) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(|level| value(level))
    }

    pub(super) fn start_number(&self) -> u64 {
        self.find(|level| level.start_number).unwrap_or(1)
    }
}

/// The most specific level decides on the way of addressing; what it lacks comes from the same of those above.
fn levels<'a>(period: &'a Period, (set, rendition): Choice<'a>) -> (Kind, Levels<'a>) {
    let templates = [&rendition.template, &set.template, &period.template];
    let lists = [&rendition.list, &set.list, &period.list];
    let bases = [&rendition.base, &set.base, &period.base];
    let of = |levels: [&'a Option<Addressing>; 3]| Levels(levels.into_iter().flatten().collect());
    match templates.iter().zip(lists).find(|(template, list)| template.is_some() || list.is_some()) {
        Some((template, _)) if template.is_some() => (Kind::Template, of(templates)),
        Some(_) => (Kind::List, of(lists)),
        None => (Kind::Whole, of(bases)),
    }
}

impl Presentation<'_> {
    /// A rendition as a track. The main one has a stretch for each part without a gap. Another is one stretch: its
    /// media time goes on where it has a gap.
    pub(super) fn track(
        &self,
        period: &Period,
        choice: Choice<'_>,
        bounds: Bounds,
        base: &str,
        is_main: bool,
    ) -> Result<Track, Error> {
        let (set, rendition) = choice;
        if !set.protections.is_empty() || !rendition.protections.is_empty() {
            return Err(Error::unsupported(self.uid, "its segments are encrypted"));
        }
        let base = self.base(&self.base(base, &set.base_urls)?, &rendition.base_urls)?;
        let format = self.format(rendition.mime_type.as_ref().or(set.mime_type.as_ref()))?;
        let (kind, levels) = levels(period, choice);
        let scale = self.scale(&levels, bounds.start)?;
        let ticks = i64::try_from(scale.offset).map_err(|_| self.unusable("has an absurd presentationTimeOffset"))?;
        let clock = Clock::Ticks { ticks, timescale: scale.timescale, wall: bounds.start };
        let template =
            |text| Template::parse(text, &rendition.id, rendition.bandwidth).map_err(|reason| self.unusable(reason));
        let naming = match (kind, levels.find(|level| level.media.as_deref())) {
            (Kind::Whole, _) => {
                let mut track = match levels.find(|level| level.index_range.as_deref()) {
                    Some(range) if format == Format::Mp4 => self.indexed(&levels, &base, range, bounds, is_main)?,
                    _ => self.whole(format, &base, bounds, clock)?,
                };
                track.language = (!is_main).then(|| set.language.clone()).flatten();
                return Ok(track);
            }
            (Kind::List, _) => Naming::List(self.list(&levels, &base)?),
            (Kind::Template, Some(media)) => Naming::Template(template(media)?),
            (Kind::Template, None) => return Err(self.unusable("has a SegmentTemplate without media")),
        };
        let init = match levels.find(|level| level.initialization.as_deref()) {
            Some(text) => Some(self.address(&base, Some(&template(text)?.expand(levels.start_number(), 0)), None)?),
            None => self.initialization(&levels, &base)?,
        };
        let (uid, start_number) = (self.uid.to_owned(), levels.start_number());
        let mut table = Table { uid, base, naming, start_number, timeline: Default::default(), scale };
        let end = match self.place(&mut table, &levels, bounds)? {
            true => bounds.end,
            false => latest_end(bounds),
        };
        table.check()?;
        Ok(Track {
            format,
            language: (!is_main).then(|| set.language.clone()).flatten(),
            stretches: stretches(&table, is_main, end, init.is_some()),
            inits: init.into_iter().collect(),
            segments: Box::new(table),
            clocks: vec![(0, clock)],
            declared: Vec::new(),
        })
    }

    fn format(&self, mime_type: Option<&String>) -> Result<Format, Error> {
        match mime_type.and_then(|kind| kind.split([';', ' ']).next()?.split('/').nth(1)) {
            None | Some("mp4") => Ok(Format::Mp4),
            Some("webm") => Ok(Format::Matroska),
            Some("mp2t") => Ok(Format::MpegTs),
            Some(other) => Err(Error::unsupported(self.uid, format!("its segments are {}", excerpt(other)))),
        }
    }

    fn scale(&self, levels: &Levels<'_>, wall: WallTime) -> Result<Scale, Error> {
        let timescale = levels.find(|level| level.timescale).unwrap_or(1);
        if timescale == 0 {
            return Err(self.unusable("has a timescale of 0"));
        }
        Ok(Scale { timescale, offset: levels.find(|level| level.presentation_time_offset).unwrap_or(0), wall })
    }

    /// A rendition that is one file.
    fn whole(&self, format: Format, base: &str, bounds: Bounds, clock: Clock) -> Result<Track, Error> {
        let end = latest_end(bounds).ok_or_else(|| self.unusable("has a file whose duration is not told"))?;
        let address = self.address(base, None, None)?;
        Ok(Track::whole(format, address, TimeRange::new(bounds.start, end), clock))
    }

    /// A rendition that is one file, of which an index tells where what is.
    fn indexed(
        &self,
        levels: &Levels<'_>,
        base: &str,
        range: &str,
        bounds: Bounds,
        is_main: bool,
    ) -> Result<Track, Error> {
        let Address { name, offset, length } = self.address(base, None, Some(range))?;
        let wrong = |reason: &str| Error::unusable(&name, reason);
        let bytes = |range| self.reading.bytes(&name, range);
        self.reading.remember(&name, self.reading.version(&name)?);
        let end = offset.saturating_add(length.unwrap_or_default());
        let index = index::read(offset..end, &bytes, &wrong)?;
        let stated = self.scale(levels, bounds.start)?;
        // The offset is told in the manifest's ticks, the times in the index's.
        let zero = u128::from(stated.offset) * u128::from(index.timescale) / u128::from(stated.timescale);
        let zero = u64::try_from(zero).ok().filter(|zero| i64::try_from(*zero).is_ok());
        let zero = zero.ok_or_else(|| self.unusable("has an absurd presentationTimeOffset"))?;
        let scale = Scale { timescale: index.timescale, offset: zero, wall: bounds.start };
        let timeline = Timeline::read(&index.entries, None).map_err(|reason| wrong(&reason))?;
        let init = match self.initialization(levels, base)? {
            Some(init) => init,
            None => Address { name: name.clone(), offset: 0, length: Some(offset) },
        };
        let naming = Naming::Pieces { name: name.clone(), pieces: index.pieces };
        let table = Table { uid: self.uid.to_owned(), base: base.to_owned(), naming, start_number: 0, timeline, scale };
        table.check()?;
        Ok(Track {
            format: Format::Mp4,
            language: None,
            stretches: stretches(&table, is_main, latest_end(bounds), true),
            inits: vec![init],
            segments: Box::new(table),
            clocks: vec![(0, Clock::Ticks { ticks: zero as i64, timescale: scale.timescale, wall: bounds.start })],
            declared: Vec::new(),
        })
    }

    fn list(&self, levels: &Levels<'_>, base: &str) -> Result<Vec<Address>, Error> {
        let urls = levels.find(|level| (!level.segment_urls.is_empty()).then_some(&level.segment_urls));
        let urls = urls.map(Vec::as_slice).unwrap_or_default();
        urls.iter().map(|url| self.address(base, url.media.as_deref(), url.media_range.as_deref())).collect()
    }

    fn initialization(&self, levels: &Levels<'_>, base: &str) -> Result<Option<Address>, Error> {
        let url = levels.find(|level| level.initialization_url.as_ref());
        url.map(|url| self.address(base, url.source_url.as_deref(), url.range.as_deref())).transpose()
    }

    /// Bytes, as `<first>-<last>`, of the file that `uri` stands for; of the base itself if there is no URI.
    fn address(&self, base: &str, uri: Option<&str>, bytes: Option<&str>) -> Result<Address, Error> {
        let name = match uri {
            Some(uri) => self.locate(base, uri)?,
            None if base.ends_with('/') || base == self.uid => {
                return Err(self.unusable("does not name its media file"));
            }
            None => base.to_owned(),
        };
        let Some(text) = bytes else { return Ok(Address::whole(name)) };
        let range = text.split_once('-').and_then(|(first, last)| {
            let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            Some((first, last.checked_sub(first)?.checked_add(1)?))
        });
        let (offset, length) = range.ok_or_else(|| self.unusable(format!("has a byte range {}", excerpt(text))))?;
        Ok(Address { name, offset, length: Some(length) })
    }
}

/// When a rendition ends that only the presentation's duration tells the end of.
fn latest_end(bounds: Bounds) -> Option<WallTime> {
    bounds.end.or_else(|| Some(bounds.expected_end?.saturating_add_nanos(END_SLACK)))
}
