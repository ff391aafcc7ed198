//! Names of files in a library: what a caller may ask for, and what a manifest may point to. A name is a path relative
//! to the library's root, with `/` between its components. It is checked here, and again by the kernel when it is
//! opened.

/// The longest name, in bytes.
const MAX_NAME: usize = 1024;

/// Checks that `uid` is a relative path that says what it means: no `..`, nothing to be normalised.
pub(crate) fn check_uid(uid: &str) -> Result<(), &'static str> {
    if uid.is_empty() {
        return Err("is empty");
    }
    if uid.len() > MAX_NAME {
        return Err("is longer than 1024 bytes");
    }
    check_text(uid)?;
    match uid.split('/').find(|component| matches!(*component, "" | "." | "..")) {
        Some("..") => Err("has a component `..`"),
        Some(".") => Err("has a component `.`"),
        Some(_) => Err("has an empty component"),
        None => Ok(()),
    }
}

/// The name that `uri` stands for in a manifest at `base`, in which only what comes before the last `/` counts. The
/// result ends in `/` if the URI names a folder, and may then be a base itself.
pub(crate) fn resolve(base: &str, uri: &str) -> Result<String, &'static str> {
    if uri.len() > 4 * MAX_NAME {
        return Err("is too long");
    }
    if uri.contains(['?', '#']) {
        return Err("has a query or a fragment");
    }
    check_text(uri)?;
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut components: Vec<_> = folder.split('/').filter(|c| !c.is_empty()).map(String::from).collect();
    let mut is_folder = uri.is_empty();
    for component in uri.split('/') {
        let component = percent_decoded(component)?;
        is_folder = matches!(component.as_str(), "" | "." | "..");
        match component.as_str() {
            "" | "." => {}
            ".." => drop(components.pop().ok_or("leaves the library")?),
            _ if component.contains('/') => return Err("hides a `/` in a component"),
            _ => {
                check_characters(&component)?;
                components.push(component);
            }
        }
    }
    let mut name = components.join("/");
    if is_folder && !name.is_empty() {
        name.push('/');
    }
    if name.len() > MAX_NAME { Err("is too long") } else { Ok(name) }
}

/// The file that `uri` stands for in a manifest at `base`.
pub(crate) fn resolve_file(base: &str, uri: &str) -> Result<String, &'static str> {
    match resolve(base, uri)? {
        name if name.is_empty() || name.ends_with('/') => Err("names a folder"),
        name => Ok(name),
    }
}

/// The name of something in a folder; the root's is empty.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The last component's extension, in lower case.
pub(crate) fn extension(name: &str) -> Option<String> {
    let file = name.rsplit('/').next()?;
    file.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, extension)| extension.to_ascii_lowercase())
}

fn check_text(text: &str) -> Result<(), &'static str> {
    if text.starts_with('/') {
        return Err("is an absolute path");
    }
    if has_scheme(text) {
        return Err("is an absolute URL");
    }
    check_characters(text)
}

fn check_characters(text: &str) -> Result<(), &'static str> {
    if text.contains('\\') {
        return Err("has a backslash");
    }
    if text.chars().any(char::is_control) {
        return Err("has a control character");
    }
    Ok(())
}

/// RFC 3986 §3.1: a letter, then letters, digits, `+`, `-` and `.`, then a colon.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// RFC 3986 §2.1. A `%` that two hex digits don't follow stands for itself: FFmpeg writes file names as they are.
fn percent_decoded(component: &str) -> Result<String, &'static str> {
    if !component.contains('%') {
        return Ok(component.to_owned());
    }
    let bytes = component.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).map_err(|_| "is not UTF-8 once its percent-escapes are decoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_relative_paths_that_say_what_they_mean() {
        for uid in
            ["a", "a/b.mpd", "archives/default/SERVER1/SourceEndpoint.video:0:0", "mp4/2020 01/ü.m3u8", "..a", "-"]
        {
            assert_eq!(check_uid(uid), Ok(()), "{uid}");
        }
        let long = "x".repeat(MAX_NAME + 1);
        for (uid, reason) in [
            ("", "is empty"),
            (&long, "is longer than 1024 bytes"),
            ("/etc/passwd", "is an absolute path"),
            ("../a", "has a component `..`"),
            ("a/../../b", "has a component `..`"),
            ("..", "has a component `..`"),
            ("./a", "has a component `.`"),
            ("a//b", "has an empty component"),
            ("a/", "has an empty component"),
            ("..\\a", "has a backslash"),
            ("a\0b", "has a control character"),
            ("a\r\nb", "has a control character"),
            ("http://169.254.169.254/latest", "is an absolute URL"),
            ("file:a.mp4", "is an absolute URL"),
            ("concat:a.ts|b.ts", "is an absolute URL"),
            ("pipe:0", "is an absolute URL"),
            ("data:,x", "is an absolute URL"),
        ] {
            assert_eq!(check_uid(uid), Err(reason), "{uid}");
        }
    }

    #[test]
    fn uris_are_resolved_inside_the_library() {
        for (base, uri, name) in [
            ("cam/1/play.m3u8", "seg.ts", "cam/1/seg.ts"),
            ("play.m3u8", "seg.ts", "seg.ts"),
            ("cam/1/play.m3u8", "./a/../seg%201.ts", "cam/1/seg 1.ts"),
            ("cam/1/play.m3u8", "../2/seg.ts", "cam/2/seg.ts"),
            ("cam/1/play.m3u8", "../../seg.ts", "seg.ts"),
            ("cam/1/play.m3u8", "%2e%2e/seg.ts", "cam/seg.ts"),
            ("cam/play.m3u8", "100%.ts", "cam/100%.ts"),
            ("cam/play.m3u8", "./12:00:00.ts", "cam/12:00:00.ts"),
            // FFmpeg's protocol syntax means nothing here: it is a file name, and opened as one.
            ("cam/play.m3u8", "subfile,,start,0,end,0,,:a.ts", "cam/subfile,,start,0,end,0,,:a.ts"),
            ("cam/stream.mpd", "video/", "cam/video/"),
            ("cam/video/", "init.mp4", "cam/video/init.mp4"),
            ("cam/stream.mpd", "", "cam/"),
        ] {
            assert_eq!(resolve(base, uri).as_deref(), Ok(name), "{uri} at {base}");
        }
    }

    #[test]
    fn uris_that_lead_elsewhere_are_refused() {
        for (uri, reason) in [
            ("file:///etc/passwd", "is an absolute URL"),
            ("http://127.0.0.1/x.ts", "is an absolute URL"),
            ("/etc/passwd", "is an absolute path"),
            ("//host/x.ts", "is an absolute path"),
            ("../../x.ts", "leaves the library"),
            ("a/%2e%2e/../../x.ts", "leaves the library"),
            ("a%2fb.ts", "hides a `/` in a component"),
            ("..%2f..%2fx.ts", "hides a `/` in a component"),
            ("a%00.ts", "has a control character"),
            ("a%5c.ts", "has a backslash"),
            ("a\\b.ts", "has a backslash"),
            ("%ff.ts", "is not UTF-8 once its percent-escapes are decoded"),
            ("x.ts?start=5", "has a query or a fragment"),
            ("x.ts#t=5", "has a query or a fragment"),
            ("..", "names a folder"),
            ("", "names a folder"),
        ] {
            assert_eq!(resolve_file("cam/play.m3u8", uri), Err(reason), "{uri}");
        }
    }

    #[test]
    fn extensions_are_of_the_last_component() {
        assert_eq!(extension("a.b/c.MP4").as_deref(), Some("mp4"));
        assert_eq!(extension("a.b/c"), None);
        assert_eq!(extension(".mp4"), None);
    }
}
