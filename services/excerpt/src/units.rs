//! Lengths and instants as people type them, and as they like to read them. All integers: no length passes through a float.

use std::time::Duration;

use prost_types::Timestamp;

/// Reads a length: `128000` (milliseconds, as in TVU's requests), `128s`, `1.5s`, `500ms`, `2m8s`, `01:00`, `00:01:00.500`.
///
/// # Errors
/// Says what isn't understood, and what would be.
pub(crate) fn parse_length(text: &str) -> Result<Duration, String> {
    let nanos = if text.contains(':') {
        clock(text)
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        decimal(text, 1_000_000)
    } else {
        units(text)
    };
    let forms = "128s, 2m8s, 1.5s, 500ms, mm:ss, hh:mm:ss.fff, or a bare number of milliseconds";
    nanos.map(Duration::from_nanos).ok_or_else(|| format!("{text:?} is not a length: write {forms}"))
}

/// Reads an instant: RFC 3339 such as `2020-01-06T20:56:46.261Z`, or milliseconds since 1970.
///
/// # Errors
/// Says what isn't understood, and what would be.
pub(crate) fn parse_instant(text: &str) -> Result<Timestamp, String> {
    let instant = match text.parse::<i64>() {
        Ok(millis) => jiff::Timestamp::from_millisecond(millis),
        Err(_) => text.parse(),
    };
    let instant = instant.map_err(|_| {
        format!("{text:?} is not an instant: write RFC 3339 (2020-01-06T20:56:46.261Z) or milliseconds since 1970")
    })?;
    let nanos = instant.as_nanosecond();
    Ok(Timestamp { seconds: nanos.div_euclid(1_000_000_000) as i64, nanos: nanos.rem_euclid(1_000_000_000) as i32 })
}

/// `mm:ss` or `hh:mm:ss`, each with an optional fraction; only the first part may exceed 59.
fn clock(text: &str) -> Option<u64> {
    let parts: Vec<_> = text.split(':').collect();
    let (whole, seconds) = match parts[..] {
        [minutes, seconds] => (decimal(minutes, 60)?, seconds),
        [hours, minutes, seconds] => (decimal(hours, 3600)?.checked_add(below_60(minutes)?.checked_mul(60)?)?, seconds),
        _ => return None,
    };
    below_60(seconds.split('.').next()?)?;
    whole.checked_mul(1_000_000_000)?.checked_add(decimal(seconds, 1_000_000_000)?)
}

fn below_60(text: &str) -> Option<u64> {
    decimal(text, 1).filter(|number| *number < 60)
}

/// Numbers with units, largest first or not: `1h`, `2m8s`, `1.5s`, `500ms`.
fn units(mut text: &str) -> Option<u64> {
    let mut nanos = 0_u64;
    while !text.is_empty() {
        let (number, rest) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
        let (unit, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len()));
        let scale = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            _ => return None,
        };
        nanos = nanos.checked_add(decimal(number, scale)?)?;
        text = rest;
    }
    Some(nanos)
}

/// `number * scale`, where the number may have a fraction that comes out even.
fn decimal(text: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let unit = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let scaled = fraction.parse::<u128>().ok()? * u128::from(scale);
    let even = (scaled % unit == 0).then_some(scaled / unit)?;
    u64::try_from(whole.parse::<u128>().ok()? * u128::from(scale) + even).ok()
}

/// An instant as RFC 3339 in UTC.
pub(crate) fn instant(timestamp: &Timestamp) -> String {
    match jiff::Timestamp::new(timestamp.seconds, timestamp.nanos) {
        Ok(instant) => instant.to_string(),
        Err(_) => format!("{} s after 1970", timestamp.seconds),
    }
}

/// A length as `h:mm:ss.fff`.
pub(crate) fn length(duration: &prost_types::Duration) -> String {
    let millis = millis(duration);
    let (sign, rest) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
    let (hours, minutes, seconds) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{sign}{hours}:{minutes:02}:{seconds:02}.{:03}", rest % 1000)
}

/// A length in whole milliseconds, rounded toward zero.
pub(crate) fn millis(duration: &prost_types::Duration) -> i64 {
    duration.seconds.saturating_mul(1000).saturating_add(i64::from(duration.nanos) / 1_000_000)
}

/// A length for the wire.
pub(crate) fn wire(length: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: length.subsec_nanos() as i32 }
}

/// Text from elsewhere, fit for a terminal: what could move the cursor or change colours is replaced.
pub(crate) fn printable(text: &str) -> String {
    let is_unsafe = |c: char| {
        c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, millis: impl Into<Option<u64>>) {
        assert_eq!(parse_length(text).ok(), millis.into().map(Duration::from_millis), "{text}");
    }

    #[test]
    fn lengths() {
        check("128000", 128_000);
        check("0", 0);
        check("128s", 128_000);
        check("1.5s", 1_500);
        check("500ms", 500);
        check("2m8s", 128_000);
        check("1h2m3s4ms", 3_723_004);
        check("01:00", 60_000);
        check("90:00", 5_400_000);
        check("00:01:00", 60_000);
        check("00:00:00.040", 40);
        check("1:02:03.5", 3_723_500);
    }

    #[test]
    fn what_is_not_a_length() {
        let texts = [
            "", "-1", "-1s", "1.5", "s", "1 s", "1d", "1e3", "00:60", "0:60:00", "0:00:60", "1:2:3:4", ":30", "1:",
            "0x10",
        ];
        for text in
            texts.iter().chain(&["99999999999999999h", "1.s", ".5s", "1.0000000000000000001s", "٣s", "00:01:00:00"])
        {
            check(text, None);
        }
    }

    #[test]
    fn a_fraction_of_a_nanosecond_is_refused_not_rounded() {
        assert_eq!(parse_length("0.000000001s"), Ok(Duration::from_nanos(1)));
        assert!(parse_length("0.0000000001s").is_err());
        assert_eq!(parse_length("0.1000000000s"), Ok(Duration::from_millis(100)));
    }

    #[test]
    fn instants() {
        let wanted = Timestamp { seconds: 1_578_344_206, nanos: 261_000_000 };
        assert_eq!(parse_instant("1578344206261"), Ok(wanted));
        assert_eq!(parse_instant("2020-01-06T20:56:46.261Z"), Ok(wanted));
        assert_eq!(parse_instant("2020-01-06T21:56:46.261+01:00"), Ok(wanted));
        assert_eq!(parse_instant("-1"), Ok(Timestamp { seconds: -1, nanos: 999_000_000 }));
        for text in ["", "yesterday", "2020-01-06", "2020-01-06T20:56:46", "1.5", "99999999999999999999"] {
            assert!(parse_instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_are_written_as_clocks() {
        assert_eq!(length(&wire(Duration::from_millis(3_723_004))), "1:02:03.004");
        assert_eq!(length(&prost_types::Duration { seconds: -1, nanos: -500_000_000 }), "-0:00:01.500");
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}d é"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d é");
    }
}
