//! Publishing in S3. A small object is put in one request, a large one in parts that appear in one step when all are there;
//! neither takes the place of another. What is sent carries its SHA-256, which the store checks, and what is stored is
//! looked at before anybody is told of it.
//!
//! A large upload leaves a record in the staging folder for as long as it runs: who finds the record old, whichever
//! machine that is, ends the upload. Where nobody looks, a rule of the bucket should (AbortIncompleteMultipartUpload).

use std::{
    borrow::Cow,
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{
    Attribute, AttributeValue, Attributes, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Objects, failed};
use crate::{Error, Existing, Key, Object, blocking, disk::STAGING};

/// What is longer goes in parts.
const MAX_SINGLE_BYTES: u64 = 16 << 20;
/// The shortest part; no store insists on more than 5 MiB.
const MIN_PART_BYTES: u64 = 16 << 20;
/// The most parts that S3 takes.
const MAX_PARTS: u64 = 10_000;
/// Parts on their way take no more memory than this, or than two parts.
const PARTS_BYTES: u64 = 64 << 20;
/// How often an upload says that it is still there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(600);
/// Records of running uploads, in the staging folder.
const RECORDS: &str = "uploads";
/// Longest record: an upload's id and a key.
const MAX_RECORD_BYTES: u64 = 8 << 10;

/// By this, the writer of an object knows it again.
const MARK: Attribute = Attribute::Metadata(Cow::Borrowed("excerpt-put"));

/// A large upload, under way.
struct Upload {
    path: Path,
    id: String,
    record: Path,
}

impl Objects {
    /// Uploads a file under `key`, unless that is taken.
    pub(crate) async fn publish(&self, file: Arc<File>, key: &Key) -> Result<Object, Error> {
        let failed = |e: io::Error| Error::io(format!("reading what is to be object {key}"), e);
        let size = rustix::fs::fstat(&*file).map_err(|errno| failed(errno.into()))?.st_size.unsigned_abs();
        if size > MAX_SINGLE_BYTES {
            return self.publish_in_parts(file, size, key).await;
        }
        let bytes = read(file, 0, size).await.map_err(failed)?;
        self.put(key, bytes, Existing::Keep).await
    }

    /// Writes an object in one request.
    pub(crate) async fn put(&self, key: &Key, bytes: Bytes, existing: Existing) -> Result<Object, Error> {
        let size = bytes.len() as u64;
        let mode = match existing {
            Existing::Keep => PutMode::Create,
            Existing::Replace => PutMode::Overwrite,
        };
        let mark = AttributeValue::from(Uuid::new_v4().to_string());
        let attributes = Attributes::from_iter([(MARK, mark.clone())]);
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        let etag = match self.place.store.put_opts(&self.path_of(key), bytes.into(), options).await {
            Ok(put) => put.e_tag,
            Err(object_store::Error::AlreadyExists { .. }) => self.tag_of_own(key, &mark).await?,
            Err(error) => return Err(failed(format_args!("publishing object {key}"), &error)),
        };
        self.verify(key, etag, size).await
    }

    /// The tag of an object that is there: where an answer is lost, the client puts again, and finds what it has put.
    async fn tag_of_own(&self, key: &Key, mark: &AttributeValue) -> Result<Option<String>, Error> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let found = self.place.store.get_opts(&self.path_of(key), options).await;
        let found = found.map_err(|error| failed(format_args!("looking at object {key}"), &error))?;
        match found.attributes.get(&MARK) == Some(mark) {
            true => Ok(found.meta.e_tag),
            false => Err(Error::Exists(key.clone())),
        }
    }

    async fn publish_in_parts(&self, file: Arc<File>, size: u64, key: &Key) -> Result<Object, Error> {
        self.check_absence(key).await?;
        let upload = self.begin(key).await?;
        let done = async {
            // Another one may have ended between the first look and the record.
            self.check_absence(key).await?;
            let parts = self.send(&upload, file, size, key).await?;
            self.check_absence(key).await?;
            let completed = self.place.store.complete_multipart(&upload.path, &upload.id, parts).await;
            let put = completed.map_err(|error| failed(format_args!("publishing object {key}"), &error))?;
            self.verify(key, put.e_tag, size).await
        }
        .await;
        if done.is_err() {
            self.abort(&upload).await;
        }
        self.forget(&upload.record).await;
        done
    }

    async fn check_absence(&self, key: &Key) -> Result<(), Error> {
        self.head(key).await?.map_or(Ok(()), |_| Err(Error::Exists(key.clone())))
    }

    /// Starts an upload, and takes the record of `key`, which nobody else has meanwhile.
    async fn begin(&self, key: &Key) -> Result<Upload, Error> {
        let failed = |error| failed(format_args!("starting to publish object {key}"), &error);
        let path = self.path_of(key);
        let id = self.place.store.create_multipart(&path).await.map_err(failed)?;
        let upload = Upload { path, id, record: self.record(key) };
        let taken = self.place.store.put_opts(&upload.record, upload.text(key), PutMode::Create.into()).await;
        let refused = match taken {
            Ok(_) => return Ok(upload),
            Err(object_store::Error::AlreadyExists { .. }) => match self.is_record_of(&upload).await {
                Ok(true) => return Ok(upload),
                Ok(false) => Error::Io {
                    what: format!("publishing object {key}"),
                    source: io::Error::other("another upload of it is under way, or was broken off"),
                },
                Err(error) => failed(error),
            },
            Err(error) => failed(error),
        };
        self.abort(&upload).await;
        Err(refused)
    }

    /// Whether the record that is there is the one of `upload`, put twice because the first answer was lost.
    async fn is_record_of(&self, upload: &Upload) -> Result<bool, object_store::Error> {
        let text = self.place.store.get_range(&upload.record, 0..MAX_RECORD_BYTES).await?;
        Ok(self.read_record(&text, &upload.record).is_some_and(|other| other.id == upload.id))
    }

    fn record(&self, key: &Key) -> Path {
        let digest = Sha256::digest(key.as_str());
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.staging(&format!("{RECORDS}/{name}"))
    }

    /// Sends all parts, a few at once.
    async fn send(&self, upload: &Upload, file: Arc<File>, size: u64, key: &Key) -> Result<Vec<PartId>, Error> {
        let part_bytes = size.div_ceil(MAX_PARTS).max(MIN_PART_BYTES);
        let at_once = (PARTS_BYTES / part_bytes).max(2) as usize;
        let signed = tokio::sync::Mutex::new(Instant::now());
        let parts = stream::iter(0..size.div_ceil(part_bytes)).map(|index| {
            let (file, signed) = (file.clone(), &signed);
            async move {
                let start = index * part_bytes;
                let bytes = read(file, start, part_bytes.min(size - start)).await;
                let bytes = bytes.map_err(|e| Error::io(format!("reading what is to be object {key}"), e))?;
                let sent = self.place.store.put_part(&upload.path, &upload.id, index as usize, bytes.into()).await;
                let part =
                    sent.map_err(|error| failed(format_args!("sending part {index} of object {key}"), &error))?;
                let mut signed = signed.lock().await;
                if signed.elapsed() >= SIGN_OF_LIFE {
                    *signed = Instant::now();
                    let put = self.place.store.put(&upload.record, upload.text(key)).await;
                    put.map_err(|error| failed(format_args!("going on with object {key}"), &error))?;
                }
                Ok(part)
            }
        });
        parts.buffered(at_once).try_collect().await
    }

    /// Looks at what was stored. What isn't what was sent is erased: nobody knows of it yet.
    async fn verify(&self, key: &Key, sent: Option<String>, size: u64) -> Result<Object, Error> {
        let (object, etag) = self.head(key).await?.ok_or_else(|| Error::Missing(key.clone()))?;
        let is_ours = sent.as_ref().is_none_or(|sent| *sent == etag);
        if is_ours && object.size_bytes == size {
            return Ok(object);
        }
        if is_ours {
            self.delete(key).await?;
        }
        let source = io::Error::other(format!(
            "{size} bytes of tag {sent:?} were sent, {} of tag {etag:?} are stored",
            object.size_bytes
        ));
        Err(Error::Io { what: format!("publishing object {key}"), source })
    }

    /// Ends an upload that won't be completed. Should it fail, the bucket's own rules have to.
    async fn abort(&self, upload: &Upload) {
        if let Err(error) = self.place.store.abort_multipart(&upload.path, &upload.id).await {
            tracing::warn!(path = %upload.path, %error, "parts of an upload that failed could not be removed");
        }
    }

    async fn forget(&self, record: &Path) {
        if let Err(error) = self.place.store.delete(record).await {
            tracing::warn!(%record, %error, "the record of an upload could not be removed; the sweep will");
        }
    }

    /// Ends uploads that haven't moved for long, and removes whatever else was left behind; how many uploads that were.
    pub(crate) async fn sweep(&self) -> Result<u64, Error> {
        let sweeping = |error| failed("sweeping uploads that were broken off", &error);
        let now = SystemTime::now();
        let folder = self.path(STAGING);
        let old: Vec<_> = self
            .place
            .store
            .list(Some(&folder))
            .try_filter(|meta| {
                let age = now.duration_since(meta.last_modified.into()).unwrap_or_default();
                std::future::ready(age >= self.abandoned && meta.size <= MAX_RECORD_BYTES)
            })
            .try_collect()
            .await
            .map_err(sweeping)?;
        let mut count = 0;
        for meta in old {
            let text = match self.place.store.get(&meta.location).await {
                Ok(got) => got.bytes().await.map_err(sweeping)?,
                // It ended this moment, or another sweep was faster.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(sweeping(error)),
            };
            if let Some(upload) = self.read_record(&text, &meta.location) {
                self.abort(&upload).await;
                count += 1;
            }
            self.forget(&meta.location).await;
        }
        Ok(count)
    }

    fn read_record(&self, text: &[u8], record: &Path) -> Option<Upload> {
        let (id, key) = std::str::from_utf8(text).ok()?.split_once('\n')?;
        let key = Key::parse(key).ok()?;
        Some(Upload { path: self.path_of(&key), id: id.to_owned(), record: record.clone() })
    }
}

impl Upload {
    /// What its record says: all that is needed to end it.
    fn text(&self, key: &Key) -> object_store::PutPayload {
        Bytes::from(format!("{}\n{key}", self.id)).into()
    }
}

/// Reads a piece of a file.
async fn read(file: Arc<File>, start: u64, length: u64) -> io::Result<Bytes> {
    let read = move || {
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, start)?;
        Ok(Bytes::from(bytes))
    };
    blocking(move || Ok(read())).await.map_err(io::Error::other)?
}
