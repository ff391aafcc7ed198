//! Recordings and what there is of them.

use errors::Error;
use protocol::{export::v1 as proto, recording::v1 as recording_proto};
use recordings::{Layout, Notice, Source};
use server::clips::{CoveragePage, CoverageQuery, SourcesPage};

use super::{
    Violations, check_time, rendition,
    reply::{gap_reason, span, timestamp},
};

/// A page of recordings.
pub(crate) fn sources(page: SourcesPage) -> proto::ListSourcesResponse {
    let source = |source: Source| recording_proto::Source {
        layout: match source.layout {
            Layout::Dash => recording_proto::Layout::Dash,
            Layout::Hls => recording_proto::Layout::Hls,
            Layout::File => recording_proto::Layout::File,
            Layout::Folder => recording_proto::Layout::Folder,
        }
        .into(),
        uid: source.uid,
    };
    proto::ListSourcesResponse {
        sources: page.sources.into_iter().map(source).collect(),
        next_page_token: page.next_page_token,
    }
}

/// What is asked about a recording, checked; the page is not part of it.
pub(crate) fn coverage_query(request: proto::GetCoverageRequest) -> Result<CoverageQuery, Error> {
    let mut violations = Violations::default();
    if request.uid.is_empty() {
        violations.add("uid", "it is missing");
    }
    let rendition = rendition("rendition", &request.rendition, &mut violations);
    let start = check_time("start_time", request.start_time, &mut violations);
    let end = check_time("end_time", request.end_time, &mut violations);
    violations.check(CoverageQuery { uid: request.uid, rendition, start, end })
}

/// A page of what was recorded.
pub(crate) fn coverage(page: CoveragePage) -> proto::GetCoverageResponse {
    let CoveragePage { spans, gaps, is_growing, notices, recorded, is_clocked, next_page_token } = page;
    let spans = spans.into_iter().map(|range| recording_proto::Span {
        start_time: Some(timestamp(range.start)),
        end_time: Some(timestamp(range.end)),
    });
    let gaps = gaps.into_iter().map(|gap| {
        let (start_time, duration) = (Some(timestamp(gap.range.start)), Some(span(gap.length())));
        let (reason, detail) = gap_reason(gap.cause);
        recording_proto::Gap { start_time, duration, reason: reason.into(), detail }
    });
    let notice = |notice: Notice| format!("{}: {}", notice.at, notice.text);
    let coverage = recording_proto::Coverage {
        spans: spans.collect(),
        gaps: gaps.collect(),
        growing: is_growing,
        notices: notices.into_iter().map(notice).collect(),
        start_time: Some(timestamp(recorded.start)),
        end_time: Some(timestamp(recorded.end)),
        clocked: is_clocked,
    };
    proto::GetCoverageResponse { coverage: Some(coverage), next_page_token }
}
