//! The elements and attributes of a DASH manifest (ISO/IEC 23009-1 §5) that say where segments are, and when.

use std::fmt;

use quick_xml::{
    de::{Deserializer, EntityResolver},
    escape::resolve_predefined_entity,
    events::BytesText,
};
use serde::Deserialize;

use crate::{MAX_SEGMENTS, error::shortened};

/// The most elements that are not entries of a list of segments.
const MAX_ELEMENTS: usize = 100_000;

/// The most entries of all lists of segments together: those of two renditions.
const MAX_ENTRIES: usize = 2 * MAX_SEGMENTS;

/// The most attributes of an element. The parser compares each with all before it.
const MAX_ATTRIBUTES: usize = 64;

/// The manifest.
#[derive(Debug, Deserialize)]
pub(super) struct Mpd {
    #[serde(rename = "@type")]
    pub(super) kind: Option<String>,
    #[serde(rename = "@availabilityStartTime")]
    pub(super) availability_start_time: Option<String>,
    #[serde(rename = "@publishTime")]
    pub(super) publish_time: Option<String>,
    #[serde(rename = "@mediaPresentationDuration")]
    pub(super) duration: Option<String>,
    #[serde(rename = "BaseURL", default)]
    pub(super) base_urls: Vec<String>,
    #[serde(rename = "Period", default)]
    pub(super) periods: Vec<Period>,
}

/// Renditions that run side by side for a while.
#[derive(Debug, Deserialize)]
pub(super) struct Period {
    #[serde(rename = "@href")]
    pub(super) href: Option<String>,
    #[serde(rename = "@start")]
    pub(super) start: Option<String>,
    #[serde(rename = "@duration")]
    pub(super) duration: Option<String>,
    #[serde(rename = "BaseURL", default)]
    pub(super) base_urls: Vec<String>,
    #[serde(rename = "SegmentBase")]
    pub(super) base: Option<Addressing>,
    #[serde(rename = "SegmentList")]
    pub(super) list: Option<Addressing>,
    #[serde(rename = "SegmentTemplate")]
    pub(super) template: Option<Addressing>,
    #[serde(rename = "AdaptationSet", default)]
    pub(super) adaptation_sets: Vec<AdaptationSet>,
}

/// Renditions to choose from.
#[derive(Debug, Deserialize)]
pub(super) struct AdaptationSet {
    #[serde(rename = "@contentType")]
    pub(super) content_type: Option<String>,
    #[serde(rename = "@mimeType")]
    pub(super) mime_type: Option<String>,
    #[serde(rename = "@lang")]
    pub(super) language: Option<String>,
    #[serde(rename = "@width")]
    pub(super) width: Option<u32>,
    #[serde(rename = "@height")]
    pub(super) height: Option<u32>,
    #[serde(rename = "Role", default)]
    pub(super) roles: Vec<Descriptor>,
    #[serde(rename = "ContentProtection", default)]
    pub(super) protections: Vec<Descriptor>,
    #[serde(rename = "EssentialProperty", default)]
    pub(super) essentials: Vec<Descriptor>,
    #[serde(rename = "BaseURL", default)]
    pub(super) base_urls: Vec<String>,
    #[serde(rename = "SegmentBase")]
    pub(super) base: Option<Addressing>,
    #[serde(rename = "SegmentList")]
    pub(super) list: Option<Addressing>,
    #[serde(rename = "SegmentTemplate")]
    pub(super) template: Option<Addressing>,
    #[serde(rename = "Representation", default)]
    pub(super) representations: Vec<Representation>,
}

/// A rendition.
#[derive(Debug, Deserialize)]
pub(super) struct Representation {
    #[serde(rename = "@id", default)]
    pub(super) id: String,
    #[serde(rename = "@bandwidth", default)]
    pub(super) bandwidth: u64,
    #[serde(rename = "@width")]
    pub(super) width: Option<u32>,
    #[serde(rename = "@height")]
    pub(super) height: Option<u32>,
    #[serde(rename = "@mimeType")]
    pub(super) mime_type: Option<String>,
    #[serde(rename = "ContentProtection", default)]
    pub(super) protections: Vec<Descriptor>,
    #[serde(rename = "EssentialProperty", default)]
    pub(super) essentials: Vec<Descriptor>,
    #[serde(rename = "BaseURL", default)]
    pub(super) base_urls: Vec<String>,
    #[serde(rename = "SegmentBase")]
    pub(super) base: Option<Addressing>,
    #[serde(rename = "SegmentList")]
    pub(super) list: Option<Addressing>,
    #[serde(rename = "SegmentTemplate")]
    pub(super) template: Option<Addressing>,
}

/// A property, named by a URN.
#[derive(Debug, Deserialize)]
pub(super) struct Descriptor {
    #[serde(rename = "@value", default)]
    pub(super) value: String,
}

/// `SegmentTemplate`, `SegmentList` or `SegmentBase`: each has some of these.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Addressing {
    #[serde(rename = "@timescale")]
    pub(super) timescale: Option<u32>,
    #[serde(rename = "@presentationTimeOffset")]
    pub(super) presentation_time_offset: Option<u64>,
    #[serde(rename = "@duration")]
    pub(super) duration: Option<u64>,
    #[serde(rename = "@startNumber")]
    pub(super) start_number: Option<u64>,
    #[serde(rename = "@indexRange")]
    pub(super) index_range: Option<String>,
    #[serde(rename = "@endNumber")]
    pub(super) end_number: Option<u64>,
    #[serde(rename = "@media")]
    pub(super) media: Option<String>,
    #[serde(rename = "@initialization")]
    pub(super) initialization: Option<String>,
    #[serde(rename = "Initialization")]
    pub(super) initialization_url: Option<InitializationUrl>,
    #[serde(rename = "SegmentTimeline")]
    pub(super) timeline: Option<SegmentTimeline>,
    #[serde(rename = "SegmentURL", default)]
    pub(super) segment_urls: Vec<SegmentUrl>,
}

/// Where an init segment is.
#[derive(Debug, Deserialize)]
pub(super) struct InitializationUrl {
    #[serde(rename = "@sourceURL")]
    pub(super) source_url: Option<String>,
    #[serde(rename = "@range")]
    pub(super) range: Option<String>,
}

/// Where a segment is.
#[derive(Debug, Deserialize)]
pub(super) struct SegmentUrl {
    #[serde(rename = "@media")]
    pub(super) media: Option<String>,
    #[serde(rename = "@mediaRange")]
    pub(super) media_range: Option<String>,
}

/// When segments are.
#[derive(Debug, Deserialize)]
pub(super) struct SegmentTimeline {
    #[serde(rename = "S", default)]
    pub(super) entries: Vec<Entry>,
}

/// Some segments of the same duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Entry {
    /// Presentation time of the first; if absent, where the one before ends.
    #[serde(rename = "@t")]
    pub(super) time: Option<u64>,
    /// Duration of each.
    #[serde(rename = "@d")]
    pub(super) duration: u64,
    /// How many follow the first; if negative, as many as there is time for.
    #[serde(rename = "@r", default)]
    pub(super) repeat: i64,
    /// Segments in a sequence; more than one is another way of addressing.
    #[serde(rename = "@k")]
    pub(super) sequence: Option<u16>,
}

/// Reads a manifest.
pub(super) fn parse(text: &str) -> Result<Mpd, String> {
    check_size(text)?;
    let mut deserializer = Deserializer::from_str_with_resolver(text, NoDtd);
    Mpd::deserialize(&mut deserializer)
        .map_err(|error| format!("is not a valid DASH manifest: {}", shortened(&error.to_string())))
}

/// Bounds what parsing can cost before it is done.
fn check_size(text: &str) -> Result<(), String> {
    let (mut elements, mut entries) = (0, 0);
    for piece in text.split('<').filter(|piece| piece.starts_with(|c: char| c.is_alphabetic())) {
        let name = piece.split(|c: char| c.is_whitespace() || matches!(c, '/' | '>')).next();
        match name.and_then(|name| name.rsplit(':').next()) {
            Some("S" | "SegmentURL") => entries += 1,
            _ => elements += 1,
        }
        if piece.bytes().filter(|byte| *byte == b'=').count() > MAX_ATTRIBUTES {
            return Err(format!("has an element of more than {MAX_ATTRIBUTES} attributes"));
        }
    }
    if elements > MAX_ELEMENTS || entries > MAX_ENTRIES {
        return Err(format!("has {elements} elements and {entries} list entries, more than are read"));
    }
    Ok(())
}

/// Knows the five entities of XML, and refuses to learn more.
struct NoDtd;

/// The manifest has a document type definition.
#[derive(Debug)]
struct HasDtd;

impl fmt::Display for HasDtd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a DTD is not accepted")
    }
}

impl std::error::Error for HasDtd {}

impl EntityResolver for NoDtd {
    type Error = HasDtd;

    fn capture(&mut self, _: BytesText) -> Result<(), HasDtd> {
        Err(HasDtd)
    }

    fn resolve(&self, entity: &str) -> Option<&str> {
        resolve_predefined_entity(entity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, part: &str) {
        let reason = parse(text).expect_err(text.get(..100).unwrap_or(text));
        assert!(reason.contains(part), "{reason}");
    }

    #[test]
    fn prefixes_comments_and_unknown_elements_are_fine() {
        let text = r#"<?xml version="1.0"?><!-- x --><d:MPD xmlns:d="urn" type="static"><Unknown><MPD/></Unknown>
            <BaseURL serviceLocation="x">a &amp; b/</BaseURL><d:Period start="PT0S"/></d:MPD>"#;
        let mpd = parse(text).expect("valid");
        assert_eq!((mpd.kind.as_deref(), mpd.base_urls[0].as_str()), (Some("static"), "a & b/"));
        assert_eq!(mpd.periods.len(), 1);
    }

    #[test]
    fn entities_are_never_expanded() {
        refused(r#"<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><MPD><BaseURL>&x;</BaseURL></MPD>"#, "DTD");
        refused(r#"<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><MPD><BaseURL>&b;</BaseURL></MPD>"#, "DTD");
        refused("<MPD><BaseURL>&x;</BaseURL></MPD>", "unrecognized entity");
    }

    #[test]
    fn what_would_cost_too_much_is_refused() {
        refused(&format!("<MPD>{}", "<a>".repeat(MAX_ELEMENTS + 1)), "elements");
        refused(&format!("<MPD>{}</MPD>", "<S/>".repeat(MAX_ENTRIES + 1)), "list entries");
        refused(&format!("<MPD {}/>", "a='>'".repeat(MAX_ATTRIBUTES + 1)), "attributes");
    }

    #[test]
    fn broken_manifests_are_told() {
        refused("<MPD><Period></MPD>", "not a valid");
        refused("<MPD><Period>", "not a valid");
        refused(
            r#"<MPD><Period><SegmentTemplate><SegmentTimeline><S d="-1"/></SegmentTimeline></SegmentTemplate></Period></MPD>"#,
            "-1",
        );
    }
}
