//! A note on a recording: `<name>.toml` beside it, or `recording.toml` in its folder, says what it doesn't say itself.

use media::time::WallTime;

use crate::{
    Error, Library,
    error::{excerpt, shortened},
    when,
};

/// The longest note, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// What a note says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// When the recording began.
    pub(crate) start: Option<WallTime>,
    /// How its files are named.
    pub(crate) file_pattern: Option<String>,
    /// The IANA name of the time zone of those names.
    pub(crate) time_zone: Option<String>,
}

impl Note {
    /// The note beside the recording `uid`; it says nothing if there is none.
    pub(crate) fn beside(library: &Library, uid: &str) -> Result<Self, Error> {
        Self::read(library, &format!("{uid}.toml"))
    }

    /// The note in the folder `uid`; what it leaves open, the one beside it may say.
    pub(crate) fn inside(self, library: &Library, uid: &str) -> Result<Self, Error> {
        let inside = Self::read(library, &format!("{uid}/recording.toml"))?;
        Ok(Self {
            start: inside.start.or(self.start),
            file_pattern: inside.file_pattern.or(self.file_pattern),
            time_zone: inside.time_zone.or(self.time_zone),
        })
    }

    fn read(library: &Library, name: &str) -> Result<Self, Error> {
        match library.optional_text(name, MAX_BYTES)? {
            Some(text) => Self::parse(&text).map_err(|reason| Error::unusable(name, reason)),
            None => Ok(Self::default()),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let note: toml::Table = text.parse().map_err(|error: toml::de::Error| shortened(error.message()))?;
        let text = |key: &str| match note.get(key) {
            None => Ok(None),
            Some(toml::Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("{key} is not text, but {}", other.type_str())),
        };
        Ok(Self { start: start(&note)?, file_pattern: text("file_pattern")?, time_zone: text("time_zone")? })
    }
}

fn start(note: &toml::Table) -> Result<Option<WallTime>, String> {
    let text = match note.get("start_time") {
        None => return Ok(None),
        Some(toml::Value::String(text)) => text.clone(),
        Some(toml::Value::Datetime(time)) => time.to_string(),
        Some(other) => return Err(format!("start_time is not a time, but {}", other.type_str())),
    };
    when::instant(&text).map(Some).ok_or_else(|| format!("start_time {} is not an RFC 3339 time", excerpt(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_text_or_a_toml_time() {
        let start = |text: &str| Note::parse(text).map(|note| note.start);
        let expected = Ok(Some(WallTime::from_nanos(1_600_000_000_500_000_000)));
        assert_eq!(start("start_time = \"2020-09-13T12:26:40.5Z\"\nplace = \"gate\""), expected);
        assert_eq!(start("start_time = 2020-09-13T14:26:40.5+02:00"), expected);
        assert_eq!(start("place = \"gate\""), Ok(None));
    }

    #[test]
    fn a_wrong_note_is_told() {
        for (text, part) in [
            ("start_time = 5", "integer"),
            ("start_time = \"yesterday\"", "\"yesterday\""),
            ("start_time = \"9000-01-01T00:00:00Z\"", "9000"),
            ("start_time", "expected"),
            ("time_zone = 1", "time_zone is not text, but integer"),
        ] {
            let reason = Note::parse(text).expect_err(text);
            assert!(reason.contains(part), "{reason}");
        }
    }
}
