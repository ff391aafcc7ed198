//! `GET /files/…`: what a service has published. The service says what a path means; this says how HTTP delivers it.

mod headers;
mod range;
mod secret;
mod urls;

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;
use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, Method, StatusCode,
    header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, ETAG, RANGE, X_CONTENT_TYPE_OPTIONS},
};
use storage::{Key, Reader};

use crate::{HttpError, Shared, reply::Protocol};
use headers::{etag_matches, if_range_holds};
use range::Wanted;

pub(crate) use urls::host_of;
pub use urls::{BaseUrl, FileUrls};

/// What the paths of files begin with.
pub(crate) const FILES_PATH: &str = "/files/";
/// The route.
pub(crate) const FILES_ROUTE: &str = "/files/{*path}";

/// What a service has published. It is asked for every request, so that what is erased is gone at once.
#[async_trait]
pub trait Files: Send + Sync + 'static {
    /// The file at `path`, what follows `/files/`, decoded; `None` if there is none, or none any more. With accounts, the
    /// URL has proved already that this service handed it out.
    async fn resolve(&self, path: &str) -> Result<Option<PublishedFile>, errors::Error>;
}

/// A file that may be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedFile {
    /// Where its bytes are.
    pub key: Key,
    /// What it is called when it is saved; its extension says of what type it is.
    pub name: String,
}

/// The files of a service that publishes none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

#[async_trait]
impl Files for NoFiles {
    async fn resolve(&self, _path: &str) -> Result<Option<PublishedFile>, errors::Error> {
        Ok(None)
    }
}

/// What the route needs.
#[derive(Clone)]
pub(crate) struct FilesRoute {
    pub(crate) shared: Arc<Shared>,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) service: &'static str,
}

/// Delivers a file, or what is asked of it.
pub(crate) async fn serve_file(
    State(route): State<FilesRoute>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let query = query.unwrap_or_default();
    if let Err(refusal) = route.shared.urls.check(route.service, &path, &query, SystemTime::now()) {
        return Ok(Protocol::Http.forbid(refusal.message()));
    }
    let missing = || HttpError(errors::Error::NotFound { kind: "file", id: path.clone() });
    let file = route.files.resolve(&path).await?.ok_or_else(missing)?;
    let Some(reader) = route.shared.storage.get(&file.key).await.map_err(errors::Error::from)? else {
        tracing::warn!(key = %file.key, "a published file is not in the storage");
        return Err(missing());
    };
    deliver(&file, reader, &method, &headers)
}

/// Answers with the file, a part of it, or what spares the client either (RFC 9110 §13.2.2 has the order).
fn deliver(file: &PublishedFile, reader: Reader, method: &Method, asked: &HeaderMap) -> Result<Response, HttpError> {
    let (size, etag) = (reader.object().size_bytes, format!("\"{}\"", reader.object().etag));
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(ETAG, headers::value(&etag)?);
    headers.insert(ACCEPT_RANGES, headers::value("bytes")?);
    // A copy is good only as long as we say so each time: the file may be erased.
    headers.insert(CACHE_CONTROL, headers::value("private, no-cache")?);
    headers.insert(X_CONTENT_TYPE_OPTIONS, headers::value("nosniff")?);
    if etag_matches(asked, &etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    headers::describe(headers, &file.name)?;
    let range = match asked.get(RANGE) {
        // A range is asked of GET only (RFC 9110 §14.2).
        Some(range) if method == Method::GET && if_range_holds(asked, &etag) => range::parse(range, size),
        _ => Wanted::Everything,
    };
    let range = match range {
        Wanted::Everything => 0..size,
        Wanted::Part(range) => {
            headers.insert(CONTENT_RANGE, headers::value(&format!("bytes {}-{}/{size}", range.start, range.end - 1))?);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            range
        }
        Wanted::Nothing => {
            headers.insert(CONTENT_RANGE, headers::value(&format!("bytes */{size}"))?);
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return Ok(response);
        }
    };
    response.headers_mut().insert(CONTENT_LENGTH, (range.end - range.start).into());
    // Nothing is read before it is sent, so for HEAD nothing is.
    *response.body_mut() = Body::from_stream(reader.stream(range).map_err(errors::Error::from)?);
    Ok(response)
}
