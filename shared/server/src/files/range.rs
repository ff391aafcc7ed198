//! The `Range` header (RFC 9110 §14).

use std::ops::Range;

use http::HeaderValue;

/// The part of a file that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: nothing less was asked for in a way that we serve.
    Everything,
    /// These bytes; at least one, none beyond the end.
    Part(Range<u64>),
    /// Nothing that there is.
    Nothing,
}

/// Reads the header. What is malformed, in other units, or several ranges at once, may be answered with everything
/// (§14.2), and is.
pub(crate) fn parse(header: &HeaderValue, size: u64) -> Wanted {
    let Some((unit, set)) = header.to_str().ok().and_then(|text| text.split_once('=')) else {
        return Wanted::Everything;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Everything;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Wanted::Everything };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => part(first, last.saturating_add(1), size),
        (Some(first), None) if last.is_empty() => part(first, size, size),
        (None, Some(length)) if first.is_empty() && length > 0 => part(size.saturating_sub(length), size, size),
        (None, Some(0)) if first.is_empty() => Wanted::Nothing,
        _ => Wanted::Everything,
    }
}

fn part(start: u64, end: u64, size: u64) -> Wanted {
    if start < size { Wanted::Part(start..end.min(size)) } else { Wanted::Nothing }
}

/// Digits only: neither a sign nor a space. More than fits is as good as the most that fits.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Wanted::*, *};

    #[test]
    fn ranges() {
        let cases = [
            ("bytes=0-0", Part(0..1)),
            ("bytes=0-", Part(0..1000)),
            ("bytes=500-599", Part(500..600)),
            ("Bytes=999-2000", Part(999..1000)),
            ("bytes=0-99999999999999999999999", Part(0..1000)),
            ("bytes=-1", Part(999..1000)),
            ("bytes=-1000", Part(0..1000)),
            ("bytes=-5000", Part(0..1000)),
            ("bytes=1000-", Nothing),
            ("bytes=1000-1001", Nothing),
            ("bytes=99999999999999999999999-", Nothing),
            ("bytes=-0", Nothing),
            ("bytes=5-4", Everything),
            ("bytes=0-1,5-6", Everything),
            ("bytes=", Everything),
            ("bytes=-", Everything),
            ("bytes", Everything),
            ("bytes=a-b", Everything),
            ("bytes=+1-2", Everything),
            ("bytes=0x1-2", Everything),
            ("bytes=1--2", Everything),
            ("lines=0-1", Everything),
            ("", Everything),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(&HeaderValue::from_static(text), 1000), expected, "{text:?}");
        }
        assert_eq!(parse(&HeaderValue::from_static("bytes=0-"), 0), Nothing);
        assert_eq!(parse(&HeaderValue::from_static("bytes=-1"), 0), Nothing);
    }
}
