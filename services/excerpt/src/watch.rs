//! Follows an export until it has ended, through restarts of the server.

use protocol::{
    export::v1::{Export, WatchExportRequest},
    job::v1::JobState,
};
use tonic::Status;

use crate::{
    client::{Patience, Service, Stop},
    failure::Failure,
    output::Output,
};

/// Shows an export's changes until it has ended, and gives it as it ended. Ctrl-C ends the watching, not the export.
///
/// # Errors
/// If the server refuses, or is gone for long; or `INTERRUPTED`.
pub(crate) async fn watch(service: &mut Service, id: &str, output: &mut Output) -> Result<Export, Failure> {
    let followed = tokio::select! {
        followed = follow(service, id, output) => followed,
        _ = tokio::signal::ctrl_c() => {
            let goes_on = [format!("watch it again: excerpt watch {id}"), format!("stop it: excerpt cancel {id}")];
            Err(Failure::interrupted(format!("stopped watching; export {id} goes on"), goes_on))
        }
    };
    output.clear();
    followed
}

async fn follow(service: &mut Service, id: &str, output: &mut Output) -> Result<Export, Failure> {
    let mut patience = Patience::new();
    let mut revision = 0;
    loop {
        let seen = revision;
        let broken = match stream(service, id, &mut revision, output).await {
            Ok(export) => return Ok(export),
            Err(Stop::Failed(failure)) => return Err(failure),
            Err(Stop::Broken(status)) => status,
        };
        if revision > seen {
            patience = Patience::new();
        }
        patience.after(broken, output).await?;
    }
}

/// Follows one stream, from the first change after `revision`, and says in it how far it came.
async fn stream(service: &mut Service, id: &str, revision: &mut i64, output: &mut Output) -> Result<Export, Stop> {
    let request = WatchExportRequest { id: id.to_owned(), after_revision: *revision };
    let mut updates = service.watch_export(request).await?.into_inner();
    while let Some(update) = updates.message().await? {
        let export = update.export.unwrap_or_default();
        *revision = export.status.as_ref().map_or(*revision, |status| status.revision);
        output.update(&export)?;
        if has_ended(&export) {
            return Ok(export);
        }
    }
    Err(Status::unavailable("the stream ended before the export had").into())
}

fn has_ended(export: &Export) -> bool {
    let state = export.status.as_ref().map(|status| status.state());
    matches!(state, Some(JobState::Succeeded | JobState::Failed | JobState::Cancelled))
}

#[cfg(test)]
mod tests {
    use protocol::job::v1::JobStatus;
    use serde_json::Value;

    use super::*;
    use crate::fake::{Fake, Lines};

    fn at(revision: i64, state: JobState) -> Export {
        let status = JobStatus { state: state.into(), revision, ..Default::default() };
        Export { id: "e1".into(), status: Some(status), ..Default::default() }
    }

    #[tokio::test]
    async fn a_watch_resumes_from_the_last_revision_when_the_stream_breaks() {
        let fake = Fake::default();
        fake.watch([Ok(at(1, JobState::Queued)), Ok(at(2, JobState::Running)), Err(Status::unavailable("draining"))]);
        fake.watch([Ok(at(3, JobState::Running))]);
        fake.watch([Ok(at(5, JobState::Succeeded))]);
        let (lines, mut service) = (Lines::default(), fake.serve().await);
        let ended = watch(&mut service, "e1", &mut lines.output()).await.unwrap();
        assert_eq!(ended, at(5, JobState::Succeeded));
        assert_eq!(fake.asked_after(), [0, 2, 3]);
        assert_eq!(lines.all("revision"), [1, 2, 3, 5].map(Value::from));
    }

    #[tokio::test]
    async fn a_refusal_is_final() {
        let fake = Fake::default();
        fake.watch([Err(Status::not_found("export \"e1\" does not exist"))]);
        let mut service = fake.serve().await;
        let failure = watch(&mut service, "e1", &mut Lines::default().output()).await.unwrap_err();
        assert_eq!((failure.code, fake.asked_after().len()), (1, 1));
        assert!(failure.to_string().starts_with("export \"e1\" does not exist"), "{failure}");
    }
}
