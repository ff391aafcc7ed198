//! Headers of files: what they are, what they are called, whether the client has them already.

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE, IF_NONE_MATCH, IF_RANGE},
};

/// A header of ours.
pub(super) fn value(text: &str) -> Result<HeaderValue, errors::Error> {
    HeaderValue::from_str(text).map_err(errors::Error::internal)
}

/// Says what a file called `name` is. Pictures are shown; everything else is saved, so that no file is ever run as a page
/// of ours.
pub(super) fn describe(headers: &mut HeaderMap, name: &str) -> Result<(), errors::Error> {
    let content_type = content_type(name);
    let kind = if content_type.starts_with("image/") { "inline" } else { "attachment" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_DISPOSITION, value(&disposition(kind, name))?);
    Ok(())
}

/// The type of a file, by its extension.
fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "ts" => "video/mp2t",
        "mov" => "video/quicktime",
        "mp4" | "m4v" => "video/mp4",
        "mkv" => "video/x-matroska",
        "avi" => "video/x-msvideo",
        "m4a" => "audio/mp4",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "json" => "application/json",
        "csv" => "text/csv; charset=utf-8",
        "ttml" => "application/ttml+xml",
        "vtt" => "text/vtt; charset=utf-8",
        "srt" => "application/x-subrip",
        _ => "application/octet-stream",
    }
}

/// How a file is to be saved (RFC 6266): its name in ASCII for old clients, and as it is for all others (RFC 8187).
fn disposition(kind: &str, name: &str) -> String {
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if plain == name {
        return format!("{kind}; filename=\"{plain}\"");
    }
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{}", super::urls::percent_encode(name, b"-._~"))
}

/// Whether a character can stand in a quoted string that every client reads alike.
fn is_plain(c: char) -> bool {
    (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\' | '%' | '/')
}

/// Whether the client has this very file (RFC 9110 §13.1.2; the comparison is weak).
pub(super) fn etag_matches(asked: &HeaderMap, etag: &str) -> bool {
    let lists = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// Whether a range continues what the client has (RFC 9110 §13.1.5; the comparison is strong). We give no date, so one
/// can't be ours.
pub(super) fn if_range_holds(asked: &HeaderMap, etag: &str) -> bool {
    asked.get(IF_RANGE).is_none_or(|value| value.as_bytes() == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_and_cannot_break_out() {
        let cases = [
            ("clip.ts", "attachment; filename=\"clip.ts\""),
            ("a b (2).mov", "attachment; filename=\"a b (2).mov\""),
            ("Zürich.ts", "attachment; filename=\"Z_rich.ts\"; filename*=UTF-8''Z%C3%BCrich.ts"),
            ("a\"b.ts", "attachment; filename=\"a_b.ts\"; filename*=UTF-8''a%22b.ts"),
            ("a\r\nb.ts", "attachment; filename=\"a__b.ts\"; filename*=UTF-8''a%0D%0Ab.ts"),
            ("frame.JPG", "inline; filename=\"frame.JPG\""),
            ("page.html", "attachment; filename=\"page.html\""),
        ];
        for (name, expected) in cases {
            let mut headers = HeaderMap::new();
            describe(&mut headers, name).unwrap();
            assert_eq!(headers[CONTENT_DISPOSITION], expected);
        }
        assert_eq!(content_type("page.html"), "application/octet-stream");
        assert_eq!(content_type("ts"), "application/octet-stream");
    }

    #[test]
    fn validators() {
        let check = |name: http::HeaderName, value: &'static str, test: fn(&HeaderMap, &str) -> bool| {
            test(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]), "\"a-1\"")
        };
        for (value, expected) in [
            ("\"a-1\"", true),
            ("W/\"a-1\"", true),
            ("\"x\", \"a-1\"", true),
            ("*", true),
            ("\"x\"", false),
            ("a-1", false),
        ] {
            assert_eq!(check(IF_NONE_MATCH, value, etag_matches), expected, "{value}");
        }
        for (value, expected) in
            [("\"a-1\"", true), ("W/\"a-1\"", false), ("\"x\"", false), ("Fri, 20 Nov 2026 10:00:00 GMT", false)]
        {
            assert_eq!(check(IF_RANGE, value, if_range_holds), expected, "{value}");
        }
        assert!(!etag_matches(&HeaderMap::new(), "\"a-1\"") && if_range_holds(&HeaderMap::new(), "\"a-1\""));
    }
}
