//! What the server's library holds: recordings, and what of each.

use protocol::export::v1::GetCoverageRequest;

use crate::{
    cli::CoverageArgs,
    client::Service,
    failure::Failure,
    lines::Line,
    output::{Output, describe_coverage},
};

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
