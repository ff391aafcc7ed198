//! S3, and what speaks like it: how a location is reached, and what its errors mean. Nothing outside this folder names the
//! client.
//!
//! No lock and no fence is kept here: stores that ignore conditional requests exist, so the database decides who
//! publishes.

mod bucket;
mod objects;
mod upload;

use std::{fmt, io, path::PathBuf, time::Duration};

use object_store::{
    BackoffConfig, ClientConfigKey, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum},
    path::Path,
};

use crate::Error;

pub use bucket::{Bucket, Entry, Page, Source};
pub(crate) use objects::Objects;

/// How locations in S3 begin.
const SCHEME: &str = "s3://";
/// How long a store may take to accept a connection.
const CONNECT_TIMEOUT: &str = "10 s";
/// How long a store may say nothing, be it because it is still taking in what is sent.
const SILENCE: &str = "60 s";
/// A whole answer takes as long as its reader does; it is silence that ends it.
const NO_TIMEOUT: &str = "365 days";
/// How long a request that failed is tried again: a store that restarts is back by then.
const RETRY_TIME: Duration = Duration::from_secs(60);
const MAX_RETRIES: usize = 6;
/// Longest cause of a failure that is told, in characters: a store's answer may be anything.
const MAX_CAUSE_CHARS: usize = 1000;

/// How a location in S3 is reached. What isn't set is taken from the environment as all of AWS's programs do
/// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, and
/// `AWS_ALLOW_HTTP` for an endpoint without TLS), or from the machine's role; profiles in files are not read.
#[derive(Clone)]
pub struct S3Options {
    /// URL of the store, if it isn't AWS.
    pub endpoint: Option<String>,
    /// Name of the region.
    pub region: Option<String>,
    /// Who asks.
    pub access_key_id: Option<String>,
    /// The proof of it.
    pub secret_access_key: Option<String>,
    /// Whether `endpoint` may be without TLS.
    pub allow_http: Option<bool>,
    /// Folder in which objects lie while they are written. Made if it is missing.
    pub scratch: PathBuf,
    /// An upload that hasn't moved for so long is abandoned. Its sender says that it lives each ten minutes.
    pub abandoned: Duration,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            access_key_id: None,
            secret_access_key: None,
            allow_http: None,
            scratch: std::env::temp_dir(),
            abandoned: Duration::from_secs(3600),
        }
    }
}

impl fmt::Debug for S3Options {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, region, access_key_id, scratch, .. } = self;
        f.debug_struct("S3Options")
            .field("endpoint", endpoint)
            .field("region", region)
            .field("access_key_id", access_key_id)
            .field("scratch", scratch)
            .finish_non_exhaustive()
    }
}

/// Whether a location is in S3.
pub(crate) fn is_s3(location: &str) -> bool {
    location.starts_with(SCHEME)
}

/// A place in a bucket.
pub(crate) struct Place {
    pub(crate) store: AmazonS3,
    /// What all names here begin with; may be empty.
    prefix: Path,
    location: String,
}

impl fmt::Debug for Place {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.location)
    }
}

impl Place {
    /// Opens `s3://bucket` or `s3://bucket/prefix`. Asks nobody yet.
    pub(crate) fn open(location: &str, options: &S3Options) -> Result<Self, Error> {
        let refuse = |why: String| Error::Unusable { location: location.to_owned(), source: io::Error::other(why) };
        let rest = location.strip_prefix(SCHEME).ok_or_else(|| Error::Unsupported(location.to_owned()))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        check_bucket(bucket).map_err(|why| refuse(why.to_owned()))?;
        let prefix = parse(prefix.strip_suffix('/').unwrap_or(prefix)).map_err(refuse)?;
        let store = builder(bucket, options).build().map_err(|error| refuse(cause(&error)))?;
        Ok(Self { store, prefix, location: location.to_owned() })
    }

    /// The path of `name`, relative to this place.
    ///
    /// # Errors
    /// What keeps it from being a name of an object.
    pub(crate) fn path(&self, name: &str) -> Result<Path, String> {
        if name.is_empty() {
            return Ok(self.prefix.clone());
        }
        let name = parse(name)?;
        Ok(self.prefix.parts().chain(name.parts()).collect())
    }

    /// The name of `path`, relative to this place; `None` if it isn't below it.
    pub(crate) fn name<'a>(&self, path: &'a Path) -> Option<&'a str> {
        let rest = path.as_ref().strip_prefix(self.prefix.as_ref())?;
        let name = if self.prefix.as_ref().is_empty() { rest } else { rest.strip_prefix('/')? };
        (!name.is_empty()).then_some(name)
    }
}

/// A path as it is given: the client would strip a `/` at either end, and one name would be two.
fn parse(path: &str) -> Result<Path, String> {
    if path.starts_with('/') || path.ends_with('/') {
        return Err(format!("{path:?} begins or ends with a /"));
    }
    Path::parse(path).map_err(|error| error.to_string())
}

fn builder(bucket: &str, options: &S3Options) -> AmazonS3Builder {
    use AmazonS3ConfigKey as Key;
    let settings = [
        (Key::Endpoint, options.endpoint.clone()),
        (Key::Region, options.region.clone()),
        (Key::AccessKeyId, options.access_key_id.clone()),
        (Key::SecretAccessKey, options.secret_access_key.clone()),
        (Key::Client(ClientConfigKey::AllowHttp), options.allow_http.map(|allow| allow.to_string())),
        (Key::Client(ClientConfigKey::ConnectTimeout), Some(CONNECT_TIMEOUT.to_owned())),
        (Key::Client(ClientConfigKey::ReadTimeout), Some(SILENCE.to_owned())),
        (Key::Client(ClientConfigKey::Timeout), Some(NO_TIMEOUT.to_owned())),
    ];
    let set = settings.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
    set.fold(AmazonS3Builder::from_env(), |builder, (key, value)| builder.with_config(key, value))
        .with_bucket_name(bucket)
        // The store checks what it receives against this, part by part.
        .with_checksum_algorithm(Checksum::SHA256)
        .with_retry(RetryConfig { backoff, max_retries: MAX_RETRIES, retry_timeout: RETRY_TIME })
}

/// As Amazon has it: from 3 to 63 lower-case letters, digits, dots and dashes.
fn check_bucket(name: &str) -> Result<(), &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    if !(3..=63).contains(&name.len()) || !name.bytes().all(is_plain) || name.contains("..") {
        return Err("a bucket's name has from 3 to 63 lower-case letters, digits, dots and dashes");
    }
    Ok(())
}

/// What went wrong, as the store and the client put it, fit for a log.
fn cause(error: &object_store::Error) -> String {
    let text = error.to_string();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CAUSE_CHARS).collect()
}

/// An error of the store while doing `what`. A full store is told from a failing one here, and only here.
fn failed(what: impl fmt::Display, error: &object_store::Error) -> Error {
    use io::ErrorKind as K;
    use object_store::Error as E;
    let cause = cause(error);
    let kind = match error {
        E::NotFound { .. } => K::NotFound,
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => K::PermissionDenied,
        E::InvalidPath { .. } => K::InvalidInput,
        E::Generic { .. } if is_full(&cause) => return Error::NoSpace(format!("{what}: {cause}")),
        _ => K::Other,
    };
    Error::Io { what: what.to_string(), source: io::Error::new(kind, cause) }
}

/// Amazon's never is; others answer 507 (RFC 4918 §11.5), or with a code of their own.
fn is_full(cause: &str) -> bool {
    ["507 Insufficient Storage", "QuotaExceeded", "XMinioStorageFull"].iter().any(|sign| cause.contains(sign))
}

/// An entity tag as [`Object`](crate::Object) has it. Amazon's are fine as they are.
fn plain_tag(tag: &str) -> String {
    let tag = tag.trim_matches('"');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if tag.bytes().all(is_plain) {
        return tag.to_owned();
    }
    tag.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_name_a_bucket_and_perhaps_a_prefix() {
        let options = S3Options { region: Some("us-east-1".into()), ..S3Options::default() };
        let place = |location: &str| Place::open(location, &options);
        for (location, path) in [("s3://abc", "x/y"), ("s3://abc/", "x/y"), ("s3://abc/d/e f", "d/e f/x/y")] {
            let place = place(location).unwrap();
            let found = place.path("x/y").unwrap();
            assert_eq!(found.as_ref(), path, "{location}");
            assert_eq!(place.name(&found), Some("x/y"));
        }
        assert_eq!(place("s3://abc/d").unwrap().name(&Path::from("dd/x")), None);
        for location in ["s3://", "s3://ab", "s3://Abc", "s3://a..c", "s3://a_c/x", "s3://abc/../x", "s3://abc//x"] {
            let refused = place(location).unwrap_err();
            assert!(matches!(refused, Error::Unusable { .. }), "{location}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = "s3cr3t".to_owned();
        let options = S3Options {
            region: Some("us-east-1".into()),
            access_key_id: Some("id".into()),
            secret_access_key: Some(secret.clone()),
            ..S3Options::default()
        };
        let place = Place::open("s3://abc/d", &options).unwrap();
        assert!(!format!("{options:?} {place:?} {place:#?}").contains(&secret));
    }

    #[test]
    fn tags_are_plain() {
        assert_eq!(plain_tag("\"d41d8cd98f00b204e9800998ecf8427e-2\""), "d41d8cd98f00b204e9800998ecf8427e-2");
        assert_eq!(plain_tag("\"a/b\""), "612f62");
    }
}
