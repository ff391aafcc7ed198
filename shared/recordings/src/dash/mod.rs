//! DASH (ISO/IEC 23009-1): each period becomes a section, with its best video rendition and one of audio.

mod edge;
mod index;
mod mpd;
mod period;
mod place;
mod rendition;
mod table;
mod template;
mod timeline;

use media::time::WallTime;

use crate::{Error, MAX_MANIFEST_BYTES, Recording, coverage::Notices, error::excerpt, library::Reading, name, when};

use mpd::Mpd;
use period::Bounds;

/// What all periods of a manifest share.
struct Presentation<'a> {
    reading: &'a Reading<'a>,
    /// The name of the video rendition that is wanted.
    rendition: Option<&'a str>,
    uid: &'a str,
    /// Whether segments are still being added.
    is_dynamic: bool,
    /// About when the newest segment was written.
    newest: WallTime,
}

/// The recording of the manifest `uid`.
pub(crate) fn read(reading: &Reading<'_>, uid: &str, rendition: Option<&str>) -> Result<Recording, Error> {
    let mpd = mpd::parse(&reading.text(uid, MAX_MANIFEST_BYTES)?).map_err(|reason| Error::unusable(uid, reason))?;
    let instant = |text: &Option<String>, name: &str| match text {
        Some(text) => when::instant(text).map(Some).ok_or_else(|| wrong_time(uid, name, text)),
        None => Ok(None),
    };
    let start = instant(&mpd.availability_start_time, "availabilityStartTime")?;
    let newest = match instant(&mpd.publish_time, "publishTime")? {
        Some(published) => published,
        None => reading.version(uid)?.modified,
    };
    let is_dynamic = mpd.kind.as_deref() == Some("dynamic");
    let presentation = Presentation { reading, rendition, uid, is_dynamic, newest };
    let base = presentation.base(uid, &mpd.base_urls)?;
    let mut sections = Vec::new();
    for (period, bounds) in mpd.periods.iter().zip(presentation.bounds(&mpd, start.unwrap_or_default())?) {
        sections.extend(presentation.section(period, bounds, &base)?);
    }
    Recording::of_sections(uid, sections, start.is_some(), is_dynamic, Notices::default())
}

fn wrong_time(uid: &str, attribute: &str, text: &str) -> Error {
    Error::unusable(uid, format!("{attribute} {} is not a time in the form and range of XML", excerpt(text)))
}

impl Presentation<'_> {
    fn unusable(&self, reason: impl Into<String>) -> Error {
        Error::unusable(self.uid, reason)
    }

    /// Where URIs start from, one level further down (ISO/IEC 23009-1 §5.6). Of alternatives, the first is taken.
    fn base(&self, above: &str, urls: &[String]) -> Result<String, Error> {
        match urls.first().map(|url| url.trim()) {
            Some(url) => self.resolve(above, url),
            None => Ok(above.into()),
        }
    }

    fn resolve(&self, base: &str, uri: &str) -> Result<String, Error> {
        name::resolve(base, uri).map_err(|reason| self.unusable(format!("the URI {} {reason}", excerpt(uri))))
    }

    /// The file that a URI stands for.
    fn locate(&self, base: &str, uri: &str) -> Result<String, Error> {
        name::resolve_file(base, uri).map_err(|reason| self.unusable(format!("the URI {} {reason}", excerpt(uri))))
    }

    /// When each period is (ISO/IEC 23009-1 §5.3.2.1).
    fn bounds(&self, mpd: &Mpd, start: WallTime) -> Result<Vec<Bounds>, Error> {
        let duration = |text: &Option<String>, name: &str| match text {
            Some(text) => when::duration(text).map(Some).ok_or_else(|| wrong_time(self.uid, name, text)),
            None => Ok(None),
        };
        let at = |nanos: i64| start.checked_add_nanos(nanos).ok_or_else(|| self.unusable("runs beyond the year 2262"));
        let total = duration(&mpd.duration, "mediaPresentationDuration")?;
        let mut bounds: Vec<Bounds> = Vec::with_capacity(mpd.periods.len());
        // Nanoseconds from the start of the presentation to where the period before ends.
        let mut before = Some(0);
        for period in &mpd.periods {
            let start = duration(&period.start, "Period@start")?.or(before);
            let start = start.ok_or_else(|| self.unusable("has a period without a start after one without an end"))?;
            if let Some(last) = bounds.last_mut() {
                last.ends_before(at(start)?);
            }
            let length = duration(&period.duration, "Period@duration")?;
            before = length.map(|length| start.saturating_add(length));
            bounds.push(Bounds::new(at(start)?, before.map(at).transpose()?));
        }
        if let (Some(last), Some(total)) = (bounds.last_mut(), total) {
            last.expected_end = last.end.or(Some(at(total)?));
        }
        Ok(bounds)
    }
}
