//! Times as manifests write them, exactly, as integers.

use jiff::{Span, SpanRelativeTo, Timestamp, civil, tz};
use media::time::WallTime;

/// An ISO 8601 instant; in UTC if it names no zone.
pub(crate) fn instant(text: &str) -> Option<WallTime> {
    let text = text.trim();
    let instant = text.parse::<Timestamp>().ok().or_else(|| {
        let civil: civil::DateTime = text.parse().ok()?;
        tz::Offset::UTC.to_timestamp(civil).ok()
    });
    i64::try_from(instant?.as_nanosecond()).ok().map(WallTime::from_nanos)
}

/// An XML Schema duration, such as `PT1H2M3.5S`, in nanoseconds. A day is 24 hours; years and months have no fixed
/// length, so only zero of them are accepted. Digits beyond the nanosecond are dropped.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = match text.split_once('.') {
        Some((whole, rest)) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            format!("{whole}.{}{}", &rest[..digits.min(9)], &rest[digits..])
        }
        None => text.to_owned(),
    };
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    i64::try_from(duration.as_nanos()).ok().filter(|nanos| *nanos >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_come_in_many_forms() {
        let wall = Some(WallTime::from_nanos(1_600_000_000_123_000_000));
        for text in [
            "2020-09-13T12:26:40.123Z",
            "2020-09-13T12:26:40.123+0000",
            "2020-09-13T14:26:40.123+02:00",
            "2020-09-13T14:26:40.123+02",
            "2020-09-13T12:26:40.123",
            " 2020-09-13 12:26:40.123Z ",
        ] {
            assert_eq!(instant(text), wall, "{text:?}");
        }
        for text in ["", "yesterday", "2020-13-01T00:00:00Z", "9999-01-01T00:00:00Z", "2020-09-13T25:00:00Z", "1e9"] {
            assert_eq!(instant(text), None, "{text:?}");
        }
    }

    #[test]
    fn durations_are_exact() {
        for (text, nanos) in [
            ("PT0S", Some(0)),
            ("PT6.0S", Some(6_000_000_000)),
            ("PT1H2M3.4S", Some(3_723_400_000_000)),
            ("P0Y0M0DT0H3M30.000S", Some(210_000_000_000)),
            ("P1DT1S", Some(86_401_000_000_000)),
            ("PT5.33333333333333S", Some(5_333_333_333)),
            ("P1M", None),
            ("-PT1S", None),
            ("PT", None),
            ("6", None),
            ("PT99999999999999999S", None),
            ("P300Y", None),
            ("PT1.ü", None),
        ] {
            assert_eq!(duration(text), nanos, "{text:?}");
        }
    }
}
