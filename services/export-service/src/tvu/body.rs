//! The JSON of TVU's request, as clients really send it: a comma may stand before a closing bracket (the product's own
//! example has two), numbers may be quoted or have an exponent, and fields that mean nothing here are passed over.

use errors::Error;
use media::{Compatibility, Container, Cut, Damage, Fallback, VideoTarget, time::WallTime};
use serde_json::{Map, Value};
use server::clips::GapPolicy;

use crate::{
    convert::{Violations, check_mark, check_story, clip_duration, file_name, rendition},
    export::{ExportSpec, Policies, Position, Story},
};

const NANOS_PER_MILLI: i64 = 1_000_000;
/// What the product's page writes where the slug would be.
const SLUG_PLACEHOLDER: &str = "base64 string";

/// A request, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) spec: ExportSpec,
    /// Whether a file is wanted, or only the first frame.
    pub(crate) fetch_media: bool,
}

/// Reads the body of a request; `longest` is how long a clip may be.
///
/// # Errors
/// `Invalid`, with all that is wrong.
pub(crate) fn parse(bytes: &[u8], longest: std::time::Duration) -> Result<Body, Error> {
    let fields = object(bytes)?;
    let mut violations = Violations::default();
    let uid = required(&fields, "uid", &mut violations).and_then(|value| text(value, "uid", &mut violations));
    let start = required(&fields, "start_position", &mut violations)
        .and_then(|value| integer(value, "start_position", &mut violations))
        .and_then(|millis| match WallTime::from_millis(millis) {
            Some(start) if millis >= 0 => Some(start),
            _ => {
                violations.add("start_position", format!("{millis} is no time in milliseconds since 1970"));
                None
            }
        });
    let mark = required(&fields, "mark_pos", &mut violations)
        .and_then(|value| text(value, "mark_pos", &mut violations))
        .map(|mark| match parse_mark(&mark) {
            Some(mark) => check_mark("mark_pos", Some(mark), &mut violations),
            None => {
                violations.add("mark_pos", format!("{mark:?} is not mm:ss or hh:mm:ss"));
                0
            }
        });
    let duration = fields.get("duration").filter(|value| !value.is_null());
    let duration = duration.map(|value| {
        // A fraction of a millisecond is no mistake worth refusing, a word is.
        integer(value, "duration", &mut violations).map(|millis| millis.checked_mul(NANOS_PER_MILLI))
    });
    let duration = match duration {
        Some(None) => 0,
        known => clip_duration("duration", known.flatten(), longest, &mut violations),
    };
    let container = match optional_text(&fields, "media_type", &mut violations).to_ascii_lowercase().as_str() {
        "" | "ts" => Container::Ts,
        "mov" => Container::Mov,
        other => {
            violations.add("media_type", format!("{other:?} is neither ts nor mov"));
            Container::Ts
        }
    };
    let video = match fields.get("export_type").filter(|value| !value.is_null()) {
        None => VideoTarget::Keep,
        Some(value) => match integer(value, "export_type", &mut violations) {
            Some(0) | None => VideoTarget::Keep,
            Some(1) => VideoTarget::H264,
            Some(2) => VideoTarget::H265,
            Some(other) => {
                violations.add("export_type", format!("{other} is not 0, 1 (H.264) or 2 (H.265)"));
                VideoTarget::Keep
            }
        },
    };
    let fetch_media = match fields.get("fetch_media") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(fetch)) => *fetch,
        Some(other) => {
            violations.add("fetch_media", format!("{other} is neither true nor false"));
            false
        }
    };
    let position = Position { uid: uid.unwrap_or_default(), start, mark: mark.unwrap_or_default() };
    let name = optional_text(&fields, "file_name", &mut violations);
    let policies = policies(&fields, &mut violations);
    let file_name = file_name("file_name", &name, &position, container, policies.gap_policy, &mut violations);
    let story = story(&fields, &mut violations);
    let spec = ExportSpec { position, duration, cut: Cut::Exact, container, video, file_name, story, policies };
    violations.check(Body { spec, fetch_media })
}

/// The object in a body.
///
/// # Errors
/// `Invalid` if it isn't one.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    let not_json = |problem: String| Error::invalid("body", format!("it is not JSON: {problem}"));
    let text = std::str::from_utf8(bytes).map_err(|error| not_json(error.to_string()))?;
    match serde_json::from_str(&without_trailing_commas(text)) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Error::invalid("body", "it is JSON, but not an object")),
        Err(error) => Err(not_json(error.to_string())),
    }
}

/// Blanks out commas that stand before a closing bracket, so that places in error messages stay right.
fn without_trailing_commas(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let (mut in_string, mut escaped, mut comma) = (false, false, None);
    for index in 0..bytes.len() {
        let byte = bytes[index];
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b',' => comma = Some(index),
            b'}' | b']' => {
                if let Some(comma) = comma.take() {
                    bytes[comma] = b' ';
                }
            }
            b if b.is_ascii_whitespace() => {}
            _ => {
                in_string = byte == b'"';
                comma = None;
            }
        }
    }
    // Only ASCII was replaced, by ASCII.
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// What the product's own requests don't have.
fn policies(fields: &Map<String, Value>, violations: &mut Violations) -> Policies {
    let gap_policies =
        [("skip", GapPolicy::Skip), ("fill", GapPolicy::Fill), ("split", GapPolicy::Split), ("fail", GapPolicy::Fail)];
    let fallbacks = [("encode", Fallback::Encode), ("keyframe", Fallback::Keyframe), ("fail", Fallback::Fail)];
    let damages = [("lenient", Damage::Lenient), ("strict", Damage::Strict)];
    let compatibilities = [("keep", Compatibility::Keep), ("broadest", Compatibility::Broadest)];
    let name = optional_text(fields, "rendition", violations);
    Policies {
        gap_policy: choice(fields, "gap_policy", gap_policies, violations),
        damage: choice(fields, "damage_policy", damages, violations),
        compatibility: choice(fields, "compatibility", compatibilities, violations),
        fallback: choice(fields, "fallback", fallbacks, violations),
        rendition: rendition("rendition", &name, violations),
    }
}

/// One of a few words, in upper or lower case; the default if there is none.
fn choice<T: Copy + Default, const N: usize>(
    fields: &Map<String, Value>,
    name: &str,
    choices: [(&str, T); N],
    violations: &mut Violations,
) -> T {
    let text = optional_text(fields, name, violations);
    if text.is_empty() {
        return T::default();
    }
    let chosen = choices.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
    chosen.map(|(_, value)| *value).unwrap_or_else(|| {
        violations.add(name, format!("{text:?} is none of {}", choices.map(|(word, _)| word).join(", ")));
        T::default()
    })
}

fn story(fields: &Map<String, Value>, violations: &mut Violations) -> Option<Story> {
    let story = match fields.get("story") {
        None | Some(Value::Null) => return None,
        Some(Value::Object(story)) => story,
        Some(_) => {
            violations.add("story", "it is not an object");
            return None;
        }
    };
    let mut part = |name: &str| match story.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => {
            violations.add(&format!("story.{name}"), "it is not text");
            String::new()
        }
    };
    let mut story = Story { id: part("id"), name: part("name"), slug_info: part("slug_info") };
    if story.slug_info == SLUG_PLACEHOLDER {
        story.slug_info.clear();
    }
    check_story("story", story, violations)
}

fn required<'a>(fields: &'a Map<String, Value>, name: &str, violations: &mut Violations) -> Option<&'a Value> {
    let value = fields.get(name).filter(|value| !value.is_null());
    if value.is_none() {
        violations.add(name, "it is missing");
    }
    value
}

pub(crate) fn text(value: &Value, name: &str, violations: &mut Violations) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::String(_) => {
            violations.add(name, "it is empty");
            None
        }
        other => {
            violations.add(name, format!("{other} is not text"));
            None
        }
    }
}

fn optional_text(fields: &Map<String, Value>, name: &str, violations: &mut Violations) -> String {
    match fields.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => {
            violations.add(name, format!("{other} is not text"));
            String::new()
        }
    }
}

/// A whole number, quoted or not, with an exponent or without.
fn integer(value: &Value, name: &str, violations: &mut Violations) -> Option<i64> {
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok().or_else(|| whole(text.trim().parse().ok()?)),
        _ => None,
    };
    if number.is_none() {
        violations.add(name, format!("{value} is not a whole number"));
    }
    number
}

fn whole(number: f64) -> Option<i64> {
    // 2^53: beyond it not every whole number can be told from its neighbours.
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

/// Nanoseconds of `mm:ss` or `hh:mm:ss`, each with an optional fraction of the second.
fn parse_mark(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').map_or((text, ""), |(whole, fraction)| (whole, fraction));
    if text.contains('.') && (fraction.is_empty() || fraction.len() > 9) {
        return None;
    }
    let digits = |text: &str, longest: usize| {
        let fits = !text.is_empty() && text.len() <= longest && text.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| text.parse::<i64>().ok()).flatten()
    };
    let parts: Vec<&str> = whole.split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [minutes, seconds] => (0, digits(minutes, 2)?, digits(seconds, 2)?),
        [hours, minutes, seconds] => (digits(hours, 4)?, digits(minutes, 2)?, digits(seconds, 2)?),
        _ => return None,
    };
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { digits(&format!("{fraction:0<9}"), 9)? };
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000_000 + nanos)
}

#[cfg(test)]
mod tests;
