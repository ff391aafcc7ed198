//! Names that can't lead out of the storage, hide, or pass for something else.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// The longest key: S3 takes no longer one.
const MAX_KEY_BYTES: usize = 1024;
/// The deepest key: whoever walks the storage holds a folder open per level.
const MAX_COMPONENTS: usize = 32;
/// The longest component of a key: Linux takes no longer file name.
const MAX_COMPONENT_BYTES: usize = 255;
/// The longest file name of a user: leaves room for what we add.
const MAX_FILE_NAME_BYTES: usize = 200;

/// Names under which Windows finds devices, whatever the extension.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

/// A name that isn't accepted, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a valid {kind}: {reason}")]
pub struct InvalidName {
    /// What was asked for: `key` or `file name`.
    kind: &'static str,
    /// Its beginning, as it was given.
    given: String,
    /// What is wrong with it.
    reason: &'static str,
}

impl InvalidName {
    fn new(kind: &'static str, given: &str, reason: &'static str) -> Self {
        Self { kind, given: given.chars().take(80).collect(), reason }
    }

    /// What is wrong with it, in words.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

/// The name of an object: at most 32 components joined by `/`, each a safe file name of at most 255 bytes, 1024 in
/// all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Checks and takes a key, such as `exports/0193f/1/clip.ts`.
    pub fn parse(key: &str) -> Result<Self, InvalidName> {
        let refuse = |reason| Err(InvalidName::new("key", key, reason));
        if key.len() > MAX_KEY_BYTES {
            return refuse("it is longer than 1024 bytes");
        }
        if key.split('/').count() > MAX_COMPONENTS {
            return refuse("it has more than 32 components");
        }
        for component in key.split('/') {
            if component.len() > MAX_COMPONENT_BYTES {
                return refuse("a component is longer than 255 bytes");
            }
            if let Err(reason) = check(component) {
                return refuse(reason);
            }
        }
        Ok(Self(key.to_owned()))
    }

    /// This key with one more component.
    pub fn join(&self, component: &str) -> Result<Self, InvalidName> {
        Self::parse(&format!("{}/{component}", self.0))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// What comes before the last component, if there is anything.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file name that a user gave: one component, good on Linux, macOS and Windows and as the last part of a key, of at
/// most 200 bytes. It is in Unicode's normal form C, so that what looks alike here is alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileName(String);

impl FileName {
    /// Checks and takes a file name.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        let refuse = |reason| Err(InvalidName::new("file name", name, reason));
        if name.len() > MAX_FILE_NAME_BYTES {
            return refuse("it is longer than 200 bytes");
        }
        let composed: String = name.nfc().collect();
        if composed.len() > MAX_FILE_NAME_BYTES {
            return refuse("it is longer than 200 bytes");
        }
        if let Err(reason) = check(&composed) {
            return refuse(reason);
        }
        Ok(Self(composed))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what is wrong with one component, if anything.
fn check(component: &str) -> Result<(), &'static str> {
    if component.is_empty() {
        return Err("a name is missing");
    }
    if component.starts_with('.') {
        return Err("a name begins with a dot");
    }
    if component.starts_with('-') {
        return Err("a name begins with a dash");
    }
    if component.ends_with('.') {
        return Err("a name ends with a dot");
    }
    if component.starts_with(char::is_whitespace) || component.ends_with(char::is_whitespace) {
        return Err("a name begins or ends with a space");
    }
    component.chars().try_for_each(check_char)?;
    if is_device(component) {
        return Err("Windows keeps this name for a device");
    }
    Ok(())
}

/// Refuses what separates, what programs read as syntax, and what can't be seen.
fn check_char(c: char) -> Result<(), &'static str> {
    match c {
        '/' | '\\' => Err("it contains a path separator"),
        ':' | '*' | '?' | '"' | '<' | '>' | '|' | '%' => Err("it contains one of : * ? \" < > | %"),
        _ if c.is_control() => Err("it contains a control character"),
        '\u{2028}' | '\u{2029}' => Err("it contains a line separator"),
        // Marks and overrides of direction (a name can be made to read backwards), zero-width characters other than the
        // joiners that scripts need, annotations, tags, private use, non-characters.
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' => {
            Err("it contains an invisible character")
        }
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffd}' | '\u{e0000}'..='\u{e007f}' => {
            Err("it contains an invisible character")
        }
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' => Err("it contains a private character"),
        _ if u32::from(c) & 0xfffe == 0xfffe => Err("it contains a private character"),
        _ => Ok(()),
    }
}

fn is_device(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or(component).trim_end();
    if DEVICES.iter().any(|device| stem.eq_ignore_ascii_case(device)) {
        return true;
    }
    let mut chars = stem.chars();
    let port: String = chars.by_ref().take(3).collect();
    let number = chars.as_str();
    let is_port = port.eq_ignore_ascii_case("COM") || port.eq_ignore_ascii_case("LPT");
    is_port && matches!(number.chars().collect::<Vec<_>>()[..], ['0'..='9' | '¹' | '²' | '³'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_name(name: &str, expected: Result<&str, &str>) {
        let found = FileName::parse(name);
        assert_eq!(found.as_ref().map(FileName::as_str).map_err(|e| e.reason()), expected, "{name:?}");
    }

    #[test]
    fn names_of_users() {
        check_name("CNN4_RAL4_Feb.20200305191626537", Ok("CNN4_RAL4_Feb.20200305191626537"));
        check_name("Interview (2) – Zürich, take #3.mov", Ok("Interview (2) – Zürich, take #3.mov"));
        check_name("新闻 + спорт.ts", Ok("新闻 + спорт.ts"));
        check_name("u\u{308}ber", Ok("\u{fc}ber"));
        check_name("COM10", Ok("COM10"));
        check_name("console.ts", Ok("console.ts"));
        let (dot, device) = ("a name begins with a dot", "Windows keeps this name for a device");
        let (separator, syntax) = ("it contains a path separator", "it contains one of : * ? \" < > | %");
        let (control, invisible) = ("it contains a control character", "it contains an invisible character");
        check_name("", Err("a name is missing"));
        check_name("..", Err(dot));
        check_name(".hidden", Err(dot));
        check_name("../x", Err(dot));
        check_name("a/../../b", Err(separator));
        check_name("/etc/x", Err(separator));
        check_name("a\\x", Err(separator));
        check_name("%2e%2e", Err(syntax));
        check_name("tee:x", Err(syntax));
        check_name("file:x", Err(syntax));
        check_name("-", Err("a name begins with a dash"));
        check_name("-y", Err("a name begins with a dash"));
        check_name("a\0b", Err(control));
        check_name("a\r\nSet-Cookie", Err(control));
        check_name("a\u{7f}", Err(control));
        check_name("a\u{9b}2J", Err(control));
        check_name("clip\u{202e}st.exe", Err(invisible));
        check_name("clip\u{2066}x", Err(invisible));
        check_name("clip\u{200b}", Err(invisible));
        check_name("\u{feff}clip", Err(invisible));
        check_name("clip\u{fffe}", Err("it contains a private character"));
        check_name("clip\u{1fffe}", Err("it contains a private character"));
        check_name("clip.", Err("a name ends with a dot"));
        check_name("clip ", Err("a name begins or ends with a space"));
        check_name("CON", Err(device));
        check_name("nul.ts", Err(device));
        check_name("com1.tar.gz", Err(device));
        check_name("LPT¹", Err(device));
        check_name("aux .ts", Err(device));
        check_name(&"x".repeat(200), Ok(&"x".repeat(200)));
        check_name(&"x".repeat(201), Err("it is longer than 200 bytes"));
        // Composition can lengthen a name: U+1D15E becomes two characters of four bytes each.
        check_name(&"\u{1d15e}".repeat(50), Err("it is longer than 200 bytes"));
    }

    #[test]
    fn keys() {
        for key in ["a", "exports/0193/1/clip.ts", "a b/ü/新.mov"] {
            assert_eq!(Key::parse(key).map(|k| k.to_string()).as_deref(), Ok(key));
        }
        let long = format!("a/{}", "x".repeat(256));
        let deep = "x/".repeat(32) + "x";
        for key in ["", "/", "/a", "a/", "a//b", "a/./b", "a/../b", "..", "a/.staging/b", "a\\b", "a\0", &long, &deep] {
            assert!(Key::parse(key).is_err(), "{key:?}");
        }
        let key = Key::parse("a/b/c.ts").unwrap();
        assert_eq!(key.file_name(), "c.ts");
        assert_eq!(key.parent(), Some(Key::parse("a/b").unwrap()));
        assert_eq!(key.parent().and_then(|k| k.parent()).and_then(|k| k.parent()), None);
        assert!(key.join("../d").is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_stays_below(text in "\\PC{0,40}|[./\\\\a-c%: -]{0,12}") {
            if let Ok(key) = Key::parse(&text) {
                let path = std::path::Path::new(key.as_str());
                prop_assert!(path.components().all(|c| matches!(c, std::path::Component::Normal(_))));
                prop_assert_eq!(path.components().count(), key.as_str().split('/').count());
            }
            if let Ok(name) = FileName::parse(&text) {
                prop_assert!(Key::parse(name.as_str()).is_ok());
                prop_assert_eq!(FileName::parse(name.as_str()), Ok(name));
            }
        }
    }
}
