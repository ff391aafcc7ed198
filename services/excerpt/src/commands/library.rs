//! What the server's library holds: recordings, and what of each.

use protocol::export::v1::{GetCoverageRequest, ListSourcesRequest};

use crate::{
    cli::{CoverageArgs, SourcesArgs},
    client::Service,
    failure::Failure,
    lines::Line,
    output::{Output, describe_coverage, source_row},
};

/// Most recordings that a page may hold.
const PAGE: usize = 1_000;

/// Lists recordings.
///
/// # Errors
/// What the server says.
pub(super) async fn sources(args: SourcesArgs, service: &mut Service, output: &mut Output) -> Result<(), Failure> {
    let (mut left, mut page_token) = (args.limit, String::new());
    while left > 0 {
        let page_size = i32::try_from(left.min(PAGE)).expect("a page is smaller than 2^31");
        let request = ListSourcesRequest { folder: args.folder.clone(), page_size, page_token };
        let page = service.list_sources(request).await?.into_inner();
        for source in page.sources.iter().take(left) {
            output.say(|| Line::Source(source.into()), || source_row(source))?;
        }
        left = left.saturating_sub(page.sources.len());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Shows what of a recording there is: for programs, a line for each page.
///
/// # Errors
/// What the server says.
pub(super) async fn coverage(args: CoverageArgs, service: &mut Service, output: &mut Output) -> Result<(), Failure> {
    let mut request = GetCoverageRequest {
        uid: args.uid,
        rendition: args.rendition.unwrap_or_default(),
        start_time: args.from,
        end_time: args.until,
        ..GetCoverageRequest::default()
    };
    loop {
        let page = service.get_coverage(request.clone()).await?.into_inner();
        let coverage = page.coverage.unwrap_or_default();
        let is_first = request.page_token.is_empty();
        output.say(|| Line::Coverage((&coverage).into()), || describe_coverage(&coverage, is_first))?;
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}
