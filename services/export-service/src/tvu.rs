//! TVU's `POST /resource/v1/export`: the product's request, answered as the product answers it. The same request again is
//! the poll: it finds the export by what it asks for, and never starts a second one.
//!
//! | `error_code` | meaning | HTTP |
//! | --- | --- | --- |
//! | 0 | success: the still is there | 200 |
//! | 1 | work is processing; ask again after `TimeWait` ms | 200 |
//! | 5 | work finished; the file is at `VideoPath` | 200 |
//! | 10 | the recording, or the file to be deleted, doesn't exist | 404 |
//! | 18 | a field is missing or wrong; the message names it | 400 |
//! | 20 | the source can't be cut, or has a gap where `gap_policy` allows none | 422 |
//! | 25 | the export was cancelled | 409 |
//! | 31 | all places are taken; `Retry-After` says when to ask again | 503 |
//! | 32 | this account has as much waiting as it may; `Retry-After` | 429 |
//! | 46 | there is no space for the file | 507 |
//! | 50 | the recording has nothing in the range | 400 |
//! | 99 | a fault of ours; ask again | 500, 503 |
//!
//! Beyond the product's fields a request may have `gap_policy` (`skip`, `fill`, `split`, `fail`), `damage_policy`
//! (`lenient`, `strict`), `compatibility` (`keep`, `broadest`), `fallback` (`encode`, `keyframe`, `fail`) and `rendition`,
//! which mean what they mean over gRPC; the answer then has `Files` where there are several.
//!
//! The product documents 0, 1 and 5; the others are those of its present API less 1000, as its older ones are.

mod body;

use std::time::Duration;

use axum::{
    Extension, Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use errors::Error;
use http::{StatusCode, header::RETRY_AFTER};
use jobs::{Job, State as JobState};
use media::time::NANOS;
use serde::Serialize;
use serde_json::json;
use server::{
    BaseUrl, Caller,
    clips::{Gap, MadeFile},
};
use sha2::{Digest, Sha256};

use crate::{
    convert::Violations,
    export::{ExportOutcome, ExportSpec, StillSpec, plain},
    exports::{Exports, outcome, spec},
    files::{export_path, still_path},
};
use body::Body;

/// How long the answer waits for the still, which it names.
const STILL_TIME: Duration = Duration::from_secs(20);
/// When to ask again: no later than this, and no sooner than that.
const LONGEST_WAIT: i64 = 2_000;
const SHORTEST_WAIT: i64 = 200;
/// The product's name for the folder of exports in its storage.
const FOLDER: &str = "export";
/// How many exports are searched for one to be deleted.
const SEARCH_PAGE: usize = 500;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// The product's routes.
pub(crate) fn routes(exports: Exports) -> Router {
    Router::new()
        .route("/resource/v1/export", post(export))
        .route("/resource/v1/delete", post(delete))
        .with_state(exports)
}

/// What the product answers.
#[derive(Serialize)]
struct Answer {
    error_code: i32,
    error_message: &'static str,
    data: Data,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    /// Milliseconds until it is worth asking again; 0 when there is nothing to wait for.
    time_wait: i64,
    /// Milliseconds that the whole work takes, estimated.
    total_time: i64,
    image_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    video_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    #[serde(rename = "S3Dir", skip_serializing_if = "Option::is_none")]
    s3_dir: Option<&'static str>,
    /// Milliseconds that a gap in the recording made the file shorter than it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    lack_length: Option<i64>,
    /// Not of the product: all files, where gaps split the recording into several. `VideoPath` is the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<DataFile>,
}

/// One of several files.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DataFile {
    file_name: String,
    video_path: String,
    /// Milliseconds since 1970 of its first frame.
    start_position: i64,
    /// Milliseconds that it plays.
    duration: i64,
}

async fn export(
    State(exports): State<Exports>,
    caller: Caller,
    Extension(base): Extension<BaseUrl>,
    bytes: axum::body::Bytes,
) -> Result<Json<Answer>, Refusal> {
    let Body { spec, fetch_media } = body::parse(&bytes, exports.suite.shared.config.export.max_duration())?;
    let identity = identity(&spec)?;
    let still = StillSpec { position: spec.position.clone(), file_name: image_name(&spec) };
    if !fetch_media {
        let image_path = image(&exports, &caller, &base, &identity, &still).await?;
        let data = Data {
            time_wait: 0,
            total_time: estimate(&spec),
            image_path,
            video_path: None,
            file_name: None,
            s3_dir: Some(FOLDER),
            lack_length: None,
            files: Vec::new(),
        };
        return Ok(Json(Answer { error_code: 0, error_message: "success", data }));
    }
    let total_time = estimate(&spec);
    let job = exports.create(&caller.owner, Some(identity.clone()), spec).await?;
    if let Some(failure) = &job.failure {
        return Err(Refusal::of_failure(failure));
    }
    if job.state == JobState::Cancelled {
        return Err(Refusal {
            code: 25,
            status: StatusCode::CONFLICT,
            message: "the export was cancelled".into(),
            retry_after: None,
        });
    }
    let image_path = image(&exports, &caller, &base, &identity, &still).await?;
    // The still took a moment: the export may have ended meanwhile.
    let job = exports.get(&caller.owner, &job.id.to_string()).await?;
    Ok(Json(answer(&exports, &job, &base, image_path, total_time)?))
}

/// How an export stands.
fn answer(
    exports: &Exports,
    job: &Job,
    base: &BaseUrl,
    image_path: String,
    total_time: i64,
) -> Result<Answer, Refusal> {
    if let Some(failure) = &job.failure {
        return Err(Refusal::of_failure(failure));
    }
    let spec: ExportSpec = spec(job)?;
    let url = |name: &str| exports.suite.shared.urls.url(base, &export_path(&job.id, name));
    let Some(outcome) = outcome::<ExportOutcome>(job)? else {
        // Whatever comes of it, this path will lead to its first file.
        let data = Data {
            time_wait: time_wait(job),
            total_time,
            image_path,
            video_path: Some(url(&spec.file_name)),
            file_name: Some(spec.file_name),
            s3_dir: Some(FOLDER),
            lack_length: None,
            files: Vec::new(),
        };
        return Ok(Answer { error_code: 1, error_message: "Work is processing", data });
    };
    let several = if outcome.files.len() > 1 { &outcome.files[..] } else { &[] };
    let first = outcome.files.first().map_or(&spec.file_name, |file| &file.name);
    let data = Data {
        time_wait: 0,
        total_time,
        image_path,
        video_path: Some(url(first)),
        file_name: Some(first.clone()),
        s3_dir: None,
        lack_length: lack(&outcome),
        files: several.iter().map(|file| data_file(file, url(&file.name))).collect(),
    };
    Ok(Answer { error_code: 5, error_message: "Work Finish", data })
}

fn data_file(file: &MadeFile, video_path: String) -> DataFile {
    DataFile {
        file_name: file.name.clone(),
        video_path,
        start_position: file.report.actual.start.nanos() / NANOS_PER_MILLI,
        duration: file.report.duration / NANOS_PER_MILLI,
    }
}

/// Makes the still that an answer names, or finds it.
async fn image(
    exports: &Exports,
    caller: &Caller,
    base: &BaseUrl,
    identity: &str,
    still: &StillSpec,
) -> Result<String, Refusal> {
    let job = exports.still(&caller.owner, identity, still, STILL_TIME).await?;
    if let Some(failure) = &job.failure {
        return Err(Refusal::of_failure(failure));
    }
    Ok(exports.suite.shared.urls.url(base, &still_path(&job.id, &still.file_name)))
}

/// What makes two requests the same: everything that is asked for.
fn identity(spec: &ExportSpec) -> Result<String, Error> {
    let text = serde_json::to_vec(spec).map_err(Error::internal)?;
    let digits: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("tvu-{digits}"))
}

/// The product's name of a still: recorder, record folder, start and length.
fn image_name(spec: &ExportSpec) -> String {
    let folders: Vec<&str> =
        spec.position.uid.split('/').rev().skip(1).filter(|folder| folder.len() > 2).take(2).collect();
    let place: String = folders.into_iter().rev().map(|folder| plain(folder) + "_").collect();
    let start = spec.position.start.map_or(0, |start| start.nanos() / 1_000_000) + spec.position.mark / 1_000_000;
    format!("still_{place}{start}_{}.jpg", spec.duration / 1_000_000)
}

/// How long the whole work takes, in milliseconds: copying runs hundreds of times faster than the clip plays, encoding
/// about as fast.
fn estimate(spec: &ExportSpec) -> i64 {
    let length = spec.duration / 1_000_000;
    match spec.lane() {
        jobs::Lane::Copy => 2_000 + length / 100,
        jobs::Lane::Encode => 5_000 + length,
    }
}

fn time_wait(job: &Job) -> i64 {
    let remaining = job.progress.remaining.and_then(|remaining| i64::try_from(remaining.as_millis()).ok());
    remaining.unwrap_or(LONGEST_WAIT).clamp(SHORTEST_WAIT, LONGEST_WAIT)
}

/// What a gap took away, in milliseconds.
fn lack(outcome: &ExportOutcome) -> Option<i64> {
    let missing: i64 = outcome.gaps.iter().map(Gap::length).sum();
    let playing: i64 = outcome.files.iter().map(|file| file.report.duration).sum();
    let lacking = outcome.requested.end.nanos_since(outcome.requested.start) - playing;
    (missing > 0 && lacking > 0).then_some((lacking + NANOS / 2_000) / (NANOS / 1_000))
}

/// `POST /resource/v1/delete`: `{"file_name", "uid"}` erases an exported file.
async fn delete(State(exports): State<Exports>, caller: Caller, bytes: axum::body::Bytes) -> Result<Response, Refusal> {
    let fields = body::object(&bytes)?;
    let mut violations = Violations::default();
    let mut text = |name: &str| match fields.get(name) {
        Some(value) => body::text(value, name, &mut violations).unwrap_or_default(),
        None => {
            violations.add(name, "it is missing");
            String::new()
        }
    };
    let (file_name, uid) = (text("file_name"), text("uid"));
    violations.check(())?;
    let mut token = String::new();
    loop {
        let page = exports.list(&caller.owner, None, SEARCH_PAGE, &token).await?;
        for job in &page.jobs {
            let spec: ExportSpec = spec(job)?;
            let is_named = spec.file_name == file_name
                || spec.file_name.rsplit_once('.').is_some_and(|(stem, _)| stem == file_name);
            if is_named && spec.position.uid == uid {
                exports.delete(&caller.owner, &job.id.to_string()).await?;
                return Ok(Json(json!({ "error_code": 0, "error_message": "success" })).into_response());
            }
        }
        token = page.next_page_token;
        if token.is_empty() {
            return Err(Error::NotFound { kind: "file", id: file_name }.into());
        }
    }
}

/// An answer that isn't what was asked for, in the product's form.
struct Refusal {
    code: i32,
    status: StatusCode,
    message: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// An export that failed. What it says stays the same however often it is asked.
    fn of_failure(failure: &jobs::Failure) -> Self {
        let (code, status) = match failure.reason.as_str() {
            "NO_MEDIA" | "OUT_OF_RANGE" => (50, StatusCode::BAD_REQUEST),
            "NOT_FOUND" => (10, StatusCode::NOT_FOUND),
            "SOURCE_UNUSABLE" | "GAP" | "UNSUPPORTED" | "LIMIT" | "CRASHED" => (20, StatusCode::UNPROCESSABLE_ENTITY),
            "NO_SPACE" => (46, StatusCode::INSUFFICIENT_STORAGE),
            _ => (99, StatusCode::INTERNAL_SERVER_ERROR),
        };
        Self { code, status, message: failure.message.clone(), retry_after: None }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        error.log();
        let code = match &error {
            Error::Invalid(_) => 18,
            Error::NotFound { .. } => 10,
            Error::OutOfRange(_) => 50,
            Error::UnusableSource(_) | Error::Gaps { .. } | Error::Conflict(_) | Error::TimedOut(_) => 20,
            Error::Exhausted { .. } => 31,
            Error::TooManyRequests { .. } => 32,
            Error::Cancelled => 25,
            Error::Unauthenticated | Error::AlreadyExists(_) | Error::Unavailable { .. } | Error::Internal(_) => 99,
        };
        Self { code, status: error.http_status(), message: error.to_string(), retry_after: error.retry_after() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error_code": self.code, "error_message": self.message, "data": {} });
        let mut response = (self.status, Json(body)).into_response();
        if let Some(delay) = self.retry_after {
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, seconds.max(1).into());
        }
        response
    }
}
