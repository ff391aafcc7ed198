//! What each call does.

mod library;

use std::path::Path;

use protocol::{
    export::v1::{
        CancelExportRequest, Compatibility, Container, CreateExportRequest, Cut, DamagePolicy, DeleteExportRequest,
        Export, ExportSpec, Fallback, GapPolicy, GetExportRequest, GetThumbnailRequest, ListExportsRequest, VideoCodec,
    },
    job::v1::JobState,
};
use tokio::fs;
use uuid::Uuid;

use crate::{
    cli::{Call, DownloadArgs, ExportArgs, Id, ListArgs, ThumbnailArgs},
    client::Service,
    download::{download, files, no_file, safe_name},
    failure::{Failure, conclude},
    lines::{Line, ThumbnailLine},
    output::{Output, describe, describe_plan, row},
    units::wire,
    watch::watch,
};

/// Most exports that a page may hold.
const PAGE: usize = 500;

/// Does what was asked.
///
/// # Errors
/// Whatever kept it from being done.
pub(crate) async fn run(call: Call, service: &mut Service, output: &mut Output) -> Result<(), Failure> {
    match call {
        Call::Export(args) => export(args, service, output).await,
        Call::Watch(Id { id }) => finish(watch(service, &id, output).await?, output),
        Call::Get(Id { id }) => show(&get(service, id).await?, output),
        Call::List(args) => list(args, service, output).await,
        Call::Cancel(Id { id }) => cancel(id, service, output).await,
        Call::Delete(Id { id }) => delete(id, service, output).await,
        Call::Download(args) => fetch(args, service, output).await,
        Call::Thumbnail(args) => thumbnail(args, service, output).await,
        Call::Sources(args) => library::sources(args, service, output).await,
        Call::Coverage(args) => library::coverage(args, service, output).await,
    }
}

async fn export(args: ExportArgs, service: &mut Service, output: &mut Output) -> Result<(), Failure> {
    let request = CreateExportRequest {
        request_id: args.request_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string()),
        spec: Some(spec(&args)),
        validate_only: args.plan,
    };
    let response = service.create_export(request).await?.into_inner();
    if args.plan {
        let plan = response.plan.unwrap_or_default();
        return output.say(|| Line::Plan((&plan).into()), || describe_plan(&plan));
    }
    let accepted = response.export.unwrap_or_default();
    if args.no_watch {
        return show(&accepted, output);
    }
    output.remark(&format!("export {} is accepted", accepted.id));
    let ended = watch(service, &accepted.id, output).await?;
    finish(ended.clone(), output)?;
    match args.download {
        Some(folder) => download_into(&folder, service, &ended, output).await,
        None => Ok(()),
    }
}

fn spec(args: &ExportArgs) -> ExportSpec {
    ExportSpec {
        uid: args.position.uid.clone(),
        start_time: args.position.start,
        mark: args.position.mark.map(wire),
        duration: Some(wire(args.duration)),
        cut: args.cut.map_or(Cut::Unspecified, Cut::from).into(),
        container: args.container.map_or(Container::Unspecified, Container::from).into(),
        video_codec: args.codec.map_or(VideoCodec::Unspecified, VideoCodec::from).into(),
        file_name: args.name.clone().unwrap_or_default(),
        story: None,
        gap_policy: args.gaps.map_or(GapPolicy::Unspecified, GapPolicy::from).into(),
        damage_policy: args.damage.map_or(DamagePolicy::Unspecified, DamagePolicy::from).into(),
        compatibility: args.compatibility.map_or(Compatibility::Unspecified, Compatibility::from).into(),
        fallback: args.fallback.map_or(Fallback::Unspecified, Fallback::from).into(),
        rendition: args.rendition.clone().unwrap_or_default(),
    }
}

async fn get(service: &mut Service, id: String) -> Result<Export, Failure> {
    Ok(service.get_export(GetExportRequest { id }).await?.into_inner().export.unwrap_or_default())
}

async fn list(args: ListArgs, service: &mut Service, output: &mut Output) -> Result<(), Failure> {
    let state = args.state.map_or(JobState::Unspecified, JobState::from);
    let (mut left, mut page_token) = (args.limit, String::new());
    while left > 0 {
        let page_size = i32::try_from(left.min(PAGE)).expect("a page is smaller than 2^31");
        let request = ListExportsRequest { page_size, page_token, state: state.into() };
        let page = service.list_exports(request).await?.into_inner();
        for export in page.exports.iter().take(left) {
            output.say(|| Line::Export(Box::new(export.into())), || row(export))?;
        }
        left = left.saturating_sub(page.exports.len());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(())
}

async fn cancel(id: String, service: &mut Service, output: &mut Output) -> Result<(), Failure> {
    let response = service.cancel_export(CancelExportRequest { id }).await?.into_inner();
    show(&response.export.unwrap_or_default(), output)
}

async fn delete(id: String, service: &mut Service, output: &mut Output) -> Result<(), Failure> {
    service.delete_export(DeleteExportRequest { id: id.clone() }).await?;
    let sentence = format!("export {id} is erased");
    output.say(|| Line::Deleted { id }, || sentence)
}

async fn fetch(args: DownloadArgs, service: &mut Service, output: &mut Output) -> Result<(), Failure> {
    let export = get(service, args.id).await?;
    match args.output {
        Some(_) if export.files.len() > 1 => {
            let names: Vec<_> = export.files.iter().map(|file| file.name.as_str()).collect();
            let message = format!("export {} has several files: {}", export.id, names.join(", "));
            Err(Failure::new(message).and("leave --output out to fetch them all, here, by their own names"))
        }
        Some(target) => download(service, &export, 0, &target, output).await,
        None => download_into(Path::new(""), service, &export, output).await,
    }
}

/// Fetches all files of an export, by their own names.
async fn download_into(
    folder: &Path,
    service: &mut Service,
    export: &Export,
    output: &mut Output,
) -> Result<(), Failure> {
    let names: Vec<&str> = files(export).iter().map(safe_name).collect::<Result<_, _>>()?;
    if !folder.as_os_str().is_empty() {
        let failure = |error| Failure::new(format!("{} can't be made: {error}", folder.display()));
        fs::create_dir_all(folder).await.map_err(failure)?;
    }
    if names.is_empty() {
        return Err(no_file(export));
    }
    for (index, name) in names.into_iter().enumerate() {
        download(service, export, index, &folder.join(name), output).await?;
    }
    Ok(())
}

async fn thumbnail(args: ThumbnailArgs, service: &mut Service, output: &mut Output) -> Result<(), Failure> {
    let request = GetThumbnailRequest {
        uid: args.position.uid,
        start_time: args.position.start,
        mark: args.position.mark.map(wire),
        height: args.height.unwrap_or_default(),
    };
    let thumbnail = service.get_thumbnail(request).await?.into_inner();
    let path = args.output.display().to_string();
    let failure = |error| Failure::new(format!("{path} can't be written: {error}")).and("choose another --output");
    fs::write(&args.output, &thumbnail.image).await.map_err(failure)?;
    let line = ThumbnailLine::new(path.clone(), &thumbnail);
    output.say(|| Line::Thumbnail(line), || format!("{path}: {} × {} pixels", thumbnail.width, thumbnail.height))
}

fn show(export: &Export, output: &mut Output) -> Result<(), Failure> {
    output.say(|| Line::Export(Box::new(export.into())), || describe(export))
}

/// Says how an export that was watched ended. A program was told by the last update.
fn finish(ended: Export, output: &mut Output) -> Result<(), Failure> {
    conclude(&ended)?;
    output.tell(|| describe(&ended))
}
