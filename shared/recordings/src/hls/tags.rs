//! Values of playlist tags (RFC 8216 §4.2), read exactly: a duration of 2.002 seconds is 2,002,000,000 nanoseconds,
//! which no binary fraction is.

use media::time::{NANOS, WallTime};

use crate::when;

/// The longest segment, in nanoseconds: a day.
const MAX_DURATION: i64 = 86_400 * NANOS;

/// The value of `#EXTINF:<duration>,[<title>]` in nanoseconds.
pub(crate) fn duration(value: &str) -> Result<i64, &'static str> {
    let number = value.split(',').next().unwrap_or_default().trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return Err("its duration is not a decimal number of seconds");
    }
    let seconds: i64 = whole.parse().unwrap_or(i64::MAX);
    let nanos = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    match seconds.checked_mul(NANOS).and_then(|whole| whole.checked_add(nanos)) {
        Some(duration) if duration <= MAX_DURATION => Ok(duration),
        _ => Err("it is longer than a day"),
    }
}

/// The value of `#EXT-X-PROGRAM-DATE-TIME`: ISO 8601, in UTC if it names no zone.
pub(crate) fn date(value: &str) -> Result<WallTime, &'static str> {
    when::instant(value).ok_or("its date is not an ISO 8601 time from 1678 to 2262")
}

/// The value of `#EXT-X-BYTERANGE`: length, and the first byte if that is given.
pub(crate) fn byte_range(value: &str) -> Result<(u64, Option<u64>), &'static str> {
    let wrong = "its byte range is not <length>[@<offset>]";
    let (length, offset) = value.trim().split_once('@').map_or((value.trim(), None), |(l, o)| (l, Some(o)));
    let length = length.parse().map_err(|_| wrong)?;
    let offset: Option<u64> = offset.map(|offset| offset.parse().map_err(|_| wrong)).transpose()?;
    match offset.unwrap_or(0).checked_add(length) {
        Some(_) => Ok((length, offset)),
        None => Err(wrong),
    }
}

/// The value of an attribute in an attribute list, without its quotes. Commas may stand inside of quotes.
pub(crate) fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = list;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if key.trim_start_matches([',', ' ']).trim_end() == name {
            return Some(value);
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        for (value, nanos) in [
            ("2.002,", Ok(2_002_000_000)),
            ("2.002000", Ok(2_002_000_000)),
            ("6,title, with comma", Ok(6_000_000_000)),
            ("0.0333333333333,", Ok(33_333_333)),
            ("0", Ok(0)),
            ("10.", Ok(10_000_000_000)),
            ("86400", Ok(MAX_DURATION)),
            ("86400.000000001", Err("it is longer than a day")),
            ("99999999999999999999999999", Err("it is longer than a day")),
            ("-1,", Err("its duration is not a decimal number of seconds")),
            ("1e5,", Err("its duration is not a decimal number of seconds")),
            ("nan", Err("its duration is not a decimal number of seconds")),
            ("", Err("its duration is not a decimal number of seconds")),
            ("1.-5", Err("its duration is not a decimal number of seconds")),
        ] {
            assert_eq!(duration(value), nanos, "{value:?}");
        }
    }

    #[test]
    fn byte_ranges_may_lack_an_offset() {
        assert_eq!(byte_range("100@5"), Ok((100, Some(5))));
        assert_eq!(byte_range("100"), Ok((100, None)));
        for value in ["", "@5", "5@", "-5@0", "18446744073709551615@1", "0x10"] {
            assert!(byte_range(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn attributes_are_found_between_others() {
        let list = r#"METHOD=AES-128,URI="a,b=c.key", IV=0x1"#;
        assert_eq!(attribute(list, "METHOD"), Some("AES-128"));
        assert_eq!(attribute(list, "URI"), Some("a,b=c.key"));
        assert_eq!(attribute(list, "IV"), Some("0x1"));
        assert_eq!(attribute(list, "b"), None);
        assert_eq!(attribute(r#"URI="never closed"#, "URI"), None);
    }
}
