//! A note beside a recording: `<name>.toml` says when one that doesn't know it itself began.

use media::time::WallTime;

use crate::{
    Error, Library,
    error::{excerpt, shortened},
    when,
};

/// The longest note, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// When the recording began, according to `start_time` in its note; `None` without a note.
pub(crate) fn start(library: &Library, uid: &str) -> Result<Option<WallTime>, Error> {
    let name = format!("{uid}.toml");
    match library.optional_text(&name, MAX_BYTES)? {
        Some(text) => parse(&text).map_err(|reason| Error::unusable(&name, reason)),
        None => Ok(None),
    }
}

fn parse(text: &str) -> Result<Option<WallTime>, String> {
    let note: toml::Table = text.parse().map_err(|error: toml::de::Error| shortened(error.message()))?;
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
        let start = Ok(Some(WallTime::from_nanos(1_600_000_000_500_000_000)));
        assert_eq!(parse("start_time = \"2020-09-13T12:26:40.5Z\"\nplace = \"gate\""), start);
        assert_eq!(parse("start_time = 2020-09-13T14:26:40.5+02:00"), start);
        assert_eq!(parse("place = \"gate\""), Ok(None));
    }

    #[test]
    fn a_wrong_note_is_told() {
        for (text, part) in [
            ("start_time = 5", "integer"),
            ("start_time = \"yesterday\"", "\"yesterday\""),
            ("start_time = \"9000-01-01T00:00:00Z\"", "9000"),
            ("start_time", "expected"),
        ] {
            let reason = parse(text).expect_err(text);
            assert!(reason.contains(part), "{reason}");
        }
    }
}
