//! How the names of time-stamped files are read: as `strftime` wrote them.

use jiff::{civil, tz};
use media::time::{NANOS, WallTime};

use crate::error::excerpt;

/// The longest pattern, in bytes.
const MAX_BYTES: usize = 1024;

/// The deepest folders that a pattern may name.
const MAX_DEPTH: usize = 8;

/// A pattern of names: `%Y-%m-%d/%H/%M.%S`. Files are told by it without their extension.
///
/// | conversion | digits | |
/// | --- | --- | --- |
/// | `%Y` `%m` `%d` | 4, 2, 2 | year, month, day; `%F` is all three with `-` between |
/// | `%j` | 3 | day of the year, in place of month and day |
/// | `%H` `%M` `%S` | 2 each | hour, minute, second; `%T` is all three with `:` between; 0 if absent |
/// | `%f` | 1 to 9 | fraction of the second |
/// | `%s` | 1 to 11 | seconds since 1970 in UTC, in place of all but `%f` |
/// | `%z` | | `+hhmm`, `+hh:mm` or `Z`, in place of the time zone |
/// | `%%` | | `%` |
///
/// Where clocks are set back, an hour of local time comes twice. A file from then is taken to be of the second time if it
/// was last written in the hour after that, else of the first. A local time that clocks skip is that much later.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    text: String,
    /// A list of tokens for each folder, and the last for the file.
    levels: Vec<Vec<Token>>,
    zone: tz::TimeZone,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Text(char),
    Field(Field),
}

/// What a conversion stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    Day,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Fraction,
    Epoch,
    Offset,
}

/// What names said so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fields {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    epoch: Option<i64>,
    /// Seconds east of Greenwich.
    offset: Option<i32>,
}

impl Pattern {
    /// Reads a pattern; `zone` is the IANA name of the time zone of its names, absent for UTC.
    pub(crate) fn parse(text: &str, zone: Option<&str>) -> Result<Self, String> {
        let wrong = |reason: &str| format!("the file pattern {} {reason}", excerpt(text));
        if text.len() > MAX_BYTES {
            return Err(wrong("is longer than 1024 bytes"));
        }
        let stem = text.rsplit_once('.').filter(|(_, end)| super::format(end).is_some()).map_or(text, |(stem, _)| stem);
        let levels: Vec<_> = stem.split('/').map(tokens).collect::<Result<_, _>>().map_err(|reason| wrong(&reason))?;
        if levels.len() > MAX_DEPTH || levels.iter().any(Vec::is_empty) {
            return Err(wrong("has an empty component, or more than 8"));
        }
        let has = |field| levels.iter().flatten().any(|token| *token == Token::Field(field));
        let has_date = has(Field::Year) && (has(Field::DayOfYear) || has(Field::Month) && has(Field::Day));
        if !has_date && !has(Field::Epoch) {
            return Err(wrong("doesn't tell the day: it needs %Y, %m and %d, or %Y and %j, or %s"));
        }
        let zone = match zone {
            None => tz::TimeZone::UTC,
            Some(name) => tz::TimeZone::get(name)
                .map_err(|_| format!("the time zone {} is not known to this machine", excerpt(name)))?,
        };
        Ok(Self { text: text.to_owned(), levels, zone })
    }

    /// As it was given.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What tells it from others.
    pub(crate) fn key(&self) -> String {
        format!("{}\n{:?}", self.text, self.zone.iana_name())
    }

    /// How many folders down the files are.
    pub(super) fn depth(&self) -> usize {
        self.levels.len() - 1
    }

    /// Whether names tell more than whole seconds.
    pub(super) fn has_fraction(&self) -> bool {
        self.levels.iter().flatten().any(|token| *token == Token::Field(Field::Fraction))
    }

    /// Adds what a name on level `level` says; `None` if it doesn't match.
    pub(super) fn read(&self, level: usize, name: &str, known: Fields) -> Option<Fields> {
        let mut fields = known;
        let mut rest = name;
        for token in self.levels.get(level)? {
            rest = match token {
                Token::Text(character) => rest.strip_prefix(*character)?,
                Token::Field(field) => fields.take(*field, rest)?,
            };
        }
        rest.is_empty().then_some(fields)
    }

    /// The instant that a file's names say; it was last written at `modified`.
    pub(super) fn instant(&self, fields: &Fields, modified: WallTime) -> Option<WallTime> {
        let seconds = match (fields.epoch, fields.offset) {
            (Some(epoch), _) => epoch,
            (None, Some(offset)) => {
                tz::Offset::from_seconds(offset).ok()?.to_timestamp(fields.civil()?).ok()?.as_second()
            }
            (None, None) => self.local(fields.civil()?, modified)?,
        };
        seconds.checked_mul(NANOS)?.checked_add(fields.nanos.into()).map(WallTime::from_nanos)
    }

    fn local(&self, civil: civil::DateTime, modified: WallTime) -> Option<i64> {
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        if !matches!(ambiguous.offset(), tz::AmbiguousOffset::Fold { .. }) {
            return Some(ambiguous.compatible().ok()?.as_second());
        }
        let (first, second) = (ambiguous.earlier().ok()?.as_second(), ambiguous.later().ok()?.as_second());
        let written = modified.nanos().div_euclid(NANOS);
        Some(if (second..second + (second - first)).contains(&written) { second } else { first })
    }
}

impl Fields {
    fn civil(&self) -> Option<civil::DateTime> {
        // A leap second is the second after it.
        let (second, extra) = if self.second == 60 { (59, 1) } else { (self.second, 0) };
        let date = match self.day_of_year {
            Some(day) => civil::Date::new(self.year?, 1, 1).ok()?.with().day_of_year(day).build().ok()?,
            None => civil::Date::new(self.year?, self.month?, self.day?).ok()?,
        };
        let time = civil::Time::new(self.hour, self.minute, second, 0).ok()?;
        date.to_datetime(time).checked_add(jiff::SignedDuration::from_secs(extra)).ok()
    }

    /// Reads a field at the start of `text`. Returns what comes after.
    fn take<'a>(&mut self, field: Field, text: &'a str) -> Option<&'a str> {
        let (fewest, most) = match field {
            Field::Year => (4, 4),
            Field::DayOfYear => (3, 3),
            Field::Fraction => (1, 9),
            Field::Epoch => (1, 11),
            Field::Offset => return self.take_offset(text),
            _ => (2, 2),
        };
        let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if digits < fewest {
            return None;
        }
        let (number, rest) = text.split_at(digits);
        let number: i64 = number.parse().ok()?;
        let small = i16::try_from(number).unwrap_or(i16::MAX);
        let tiny = i8::try_from(number).unwrap_or(i8::MAX);
        match field {
            Field::Year => self.year = Some(small),
            Field::Month => self.month = Some(tiny),
            Field::Day => self.day = Some(tiny),
            Field::DayOfYear => self.day_of_year = Some(small),
            Field::Hour => self.hour = tiny,
            Field::Minute => self.minute = tiny,
            Field::Second => self.second = tiny,
            Field::Fraction => self.nanos = i32::try_from(number * 10_i64.pow(9 - digits as u32)).ok()?,
            Field::Epoch => self.epoch = Some(number),
            Field::Offset => {}
        }
        Some(rest)
    }

    fn take_offset<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        if let Some(rest) = text.strip_prefix('Z') {
            self.offset = Some(0);
            return Some(rest);
        }
        let sign = match text.bytes().next()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let two = |text: &str| text.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_digit()))?.parse().ok();
        let hours: i32 = two(&text[1..])?;
        let after = text[3..].strip_prefix(':').unwrap_or(&text[3..]);
        let minutes: i32 = two(after)?;
        self.offset = (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60));
        self.offset.map(|_| &after[2..])
    }
}

/// The tokens of one component.
fn tokens(component: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut characters = component.chars();
    while let Some(character) = characters.next() {
        if character.is_control() || character == '\\' {
            return Err("has a backslash or a control character".into());
        }
        if character != '%' {
            tokens.push(Token::Text(character));
            continue;
        }
        let fields: &[Token] = match characters.next() {
            Some('Y') => &[Token::Field(Field::Year)],
            Some('m') => &[Token::Field(Field::Month)],
            Some('d') => &[Token::Field(Field::Day)],
            Some('j') => &[Token::Field(Field::DayOfYear)],
            Some('H') => &[Token::Field(Field::Hour)],
            Some('M') => &[Token::Field(Field::Minute)],
            Some('S') => &[Token::Field(Field::Second)],
            Some('f') => &[Token::Field(Field::Fraction)],
            Some('s') => &[Token::Field(Field::Epoch)],
            Some('z') => &[Token::Field(Field::Offset)],
            Some('%') => &[Token::Text('%')],
            Some('F') => &self::tokens("%Y-%m-%d")?,
            Some('T') => &self::tokens("%H:%M:%S")?,
            Some(other) => return Err(format!("has a conversion that is not known, %{other}")),
            None => return Err("ends in a %".into()),
        };
        tokens.extend_from_slice(fields);
    }
    if component == "." || component == ".." {
        return Err("leads elsewhere".into());
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The instant that `name` (without its extension) says, last written at `written`.
    fn instant(pattern: &str, zone: Option<&str>, name: &str, written: i64) -> Option<i64> {
        let pattern = Pattern::parse(pattern, zone).expect(pattern);
        let mut fields = Fields::default();
        for (level, component) in name.split('/').enumerate() {
            fields = pattern.read(level, component, fields)?;
        }
        pattern.instant(&fields, WallTime::from_nanos(written * NANOS)).map(WallTime::nanos)
    }

    #[test]
    fn names_as_recorders_write_them() {
        let (whole, micros) = (1_715_065_689_000_000_000, 1_715_065_689_123_456_000);
        for (pattern, name, nanos) in [
            // MediaMTX, Frigate below a camera's folder, ffmpeg -strftime 1.
            ("%Y-%m-%d_%H-%M-%S-%f", "2024-05-07_07-08-09-123456", Some(micros)),
            ("%Y-%m-%d/%H/gate/%M.%S.mp4", "2024-05-07/07/gate/08.09", Some(whole)),
            ("out-%Y%m%dT%H%M%S.ts", "out-20240507T070809", Some(whole)),
            ("%s", "1715065689", Some(whole)),
            ("%s.%f", "1715065689.123456", Some(micros)),
            ("%F_%T%z", "2024-05-07_09:08:09+0200", Some(whole)),
            ("%F_%T%z", "2024-05-07_09:08:09+02:00", Some(whole)),
            ("%F_%T%z", "2024-05-07_07:08:09Z", Some(whole)),
            ("%Y%j%%%H%M%S", "2024128%070809", Some(whole)),
            ("%Y-%m-%d_%H-%M-%S-%f", "2024-05-07_07-08-09-", None),
            ("%Y-%m-%d_%H-%M-%S-%f", "2024-05-07_07-08-09-1234567890", None),
            ("%Y-%m-%d", "2024-13-07", None),
            ("%Y-%m-%d", "2024-02-30", None),
            ("%Y-%m-%d", "2024-5-07", None),
            ("%Y-%m-%d", "９９99-05-07", None),
            ("%Y-%m-%d", "9999-05-07", None),
            ("%s", "99999999999", None),
            ("%F%z", "2024-05-07+99:00", None),
            ("%F%z", "2024-05-07+ü0:00", None),
        ] {
            assert_eq!(instant(pattern, None, name, 0), nanos, "{name} as {pattern}");
        }
    }

    #[test]
    fn local_times_where_clocks_are_set() {
        let zone = Some("Europe/Berlin");
        let at = |name, written| instant("%Y-%m-%d_%H-%M-%S", zone, name, written).map(|nanos| nanos / NANOS);
        assert_eq!(at("2024-07-01_12-00-00", 0), Some(1_719_828_000));
        // 02:30 came twice: at 00:30 and at 01:30 in UTC.
        let (first, second) = (1_729_989_000, 1_729_992_600);
        assert_eq!(at("2024-10-27_02-30-00", first + 60), Some(first));
        assert_eq!(at("2024-10-27_02-30-00", second + 60), Some(second));
        assert_eq!(at("2024-10-27_02-30-00", second + 86_400), Some(first), "copied later");
        // 02:30 never was.
        assert_eq!(at("2024-03-31_02-30-00", 0), at("2024-03-31_03-30-00", 0));
    }

    #[test]
    fn wrong_patterns_are_told() {
        let long = "%Y%m%d".repeat(200);
        for (pattern, zone, part) in [
            ("%Y-%m", None, "doesn't tell the day"),
            ("%H-%M-%S", None, "doesn't tell the day"),
            ("", None, "empty component"),
            ("%F//%T", None, "empty component"),
            ("../%F", None, "leads elsewhere"),
            ("%path/%F", None, "%p"),
            ("%F%", None, "ends in a %"),
            ("%F\\", None, "backslash"),
            (&long, None, "1024"),
            ("%F", Some("Mars/Olympus"), "Mars/Olympus"),
            ("%F", Some("../../etc/passwd"), "is not known"),
        ] {
            let reason = Pattern::parse(pattern, zone).expect_err(pattern);
            assert!(reason.contains(part), "{reason}");
        }
    }
}
