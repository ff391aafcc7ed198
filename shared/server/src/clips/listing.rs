//! Which recordings there are, and what of each: in pages.

use media::time::{TimeRange, WallTime};
use recordings::{Coverage, Notice, Source, SourcePage};

use super::{
    Gap,
    page::{open_token, page_size, seal_token},
    source::{prober, recording},
};
use crate::Suite;

/// How many recordings a page holds if it isn't told, and at most.
const SOURCES: (usize, usize) = (100, 1_000);
/// How many spans.
const SPANS: (usize, usize) = (1_000, 10_000);
/// How many notices.
const NOTICES: usize = 100;

/// A page of recordings.
#[derive(Debug, Clone, PartialEq)]
pub struct SourcesPage {
    /// In the order of their uids, folder by folder.
    pub sources: Vec<Source>,
    /// Empty on the last page.
    pub next_page_token: String,
}

/// Lists the recordings in a folder of the library and below; the empty name is the whole library. Blocks.
///
/// # Errors
/// `Invalid` for a size below 0 or a token of another list; those of `recordings`.
pub fn sources(suite: &Suite, folder: &str, size: i32, token: &str) -> Result<SourcesPage, errors::Error> {
    let size = page_size(size, SOURCES)?;
    let scope = ["sources", folder];
    let after = open_token(token, &scope)?;
    let SourcePage { sources, next } = suite.library.list(folder, after.as_deref(), size)?;
    let next_page_token = next.map_or_else(String::new, |next| seal_token(&next, &scope));
    Ok(SourcesPage { sources, next_page_token })
}

/// What is asked about a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageQuery {
    /// The recording.
    pub uid: String,
    /// The best if absent.
    pub rendition: Option<String>,
    /// The recording's first instant if absent.
    pub start: Option<WallTime>,
    /// The recording's end if absent.
    pub end: Option<WallTime>,
}

/// A page of what was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct CoveragePage {
    /// What of the range was recorded, as far as the page reaches, in order.
    pub spans: Vec<TimeRange>,
    /// What of it is missing, in order.
    pub gaps: Vec<Gap>,
    /// Whether the recording may have become longer since.
    pub is_growing: bool,
    /// What was odd there.
    pub notices: Vec<Notice>,
    /// From the recording's first instant to its last.
    pub recorded: TimeRange,
    /// Whether the recording knows wall time.
    pub is_clocked: bool,
    /// Empty on the last page.
    pub next_page_token: String,
}

/// Says what was recorded. Blocks.
///
/// # Errors
/// `Invalid` for a size below 0, a token of another query, or a range that ends before it begins; those of `recordings`.
pub fn coverage(suite: &Suite, query: &CoverageQuery, size: i32, token: &str) -> Result<CoveragePage, errors::Error> {
    let size = page_size(size, SPANS)?;
    let side = |time: Option<WallTime>| time.map_or_else(String::new, |time| time.nanos().to_string());
    let rendition = query.rendition.as_deref();
    let (start, end) = (side(query.start), side(query.end));
    let scope = ["coverage", &query.uid, rendition.unwrap_or_default(), &start, &end];
    let reached = open_token(token, &scope)?.map(|at| at.parse().map_err(|_| super::page::refused()));
    let recording = recording(suite, &query.uid, rendition, None)?;
    let recorded = recording.range();
    let from = match reached.transpose()? {
        Some(nanos) => WallTime::from_nanos(nanos),
        None => query.start.unwrap_or(recorded.start),
    };
    let until = query.end.unwrap_or(recorded.end);
    if from >= until && token.is_empty() {
        return Err(errors::Error::invalid("end_time", format!("{until} is not after {from}")));
    }
    let range = TimeRange::new(from, until.max(from));
    let Coverage { spans, gaps, is_growing, next } = recording.coverage(range, size, &prober(suite))?;
    let told = TimeRange::new(from, next.unwrap_or(range.end));
    Ok(CoveragePage {
        spans,
        gaps: gaps.into_iter().map(|gap| Gap::known(gap, recorded)).collect(),
        is_growing,
        notices: recording.notices().into_iter().filter(|notice| told.contains(notice.at)).take(NOTICES).collect(),
        recorded,
        is_clocked: recording.start().is_some(),
        next_page_token: next.map_or_else(String::new, |next| seal_token(&next.nanos().to_string(), &scope)),
    })
}
