//! Objects of ours in a bucket: looked at, read, listed and erased.

use std::{io, ops::Range, sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use uuid::Uuid;

use super::{Place, S3Options, failed, plain_tag};
use crate::{Error, Key, Object, PIECE_BYTES, disk::STAGING};

/// Objects in a bucket, below a prefix.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    pub(super) place: Arc<Place>,
    /// See [`S3Options::abandoned`].
    pub(super) abandoned: Duration,
}

impl Objects {
    /// Opens the place, and tries out that it can be written.
    pub(crate) async fn open(location: &str, options: &S3Options) -> Result<Self, Error> {
        let place = Arc::new(Place::open(location, options)?);
        let objects = Self { place, abandoned: options.abandoned };
        let trial = objects.staging(&format!("{}.try", Uuid::new_v4()));
        let tried = async {
            objects.place.store.put(&trial, Bytes::from_static(b"try").into()).await?;
            objects.place.store.delete(&trial).await
        };
        let unusable = |error: object_store::Error| match failed("trying it out", &error) {
            Error::Io { source, .. } => Error::Unusable { location: location.to_owned(), source },
            other => other,
        };
        tried.await.map_err(unusable)?;
        Ok(objects)
    }

    /// Where a record of ours is; no key begins with a dot.
    pub(super) fn staging(&self, name: &str) -> Path {
        self.path(&format!("{STAGING}/{name}"))
    }

    pub(super) fn path_of(&self, key: &Key) -> Path {
        self.path(key.as_str())
    }

    pub(super) fn path(&self, name: &str) -> Path {
        self.place.path(name).expect("keys have neither empty components nor dots for such")
    }

    pub(super) fn object(&self, key: &Key, meta: &ObjectMeta) -> Object {
        Object {
            key: key.clone(),
            size_bytes: meta.size,
            etag: meta.e_tag.as_deref().map(plain_tag).unwrap_or_default(),
            modified: meta.last_modified.into(),
        }
    }

    /// What is known of an object, and its tag as the store has it.
    pub(crate) async fn head(&self, key: &Key) -> Result<Option<(Object, String)>, Error> {
        match self.place.store.head(&self.path_of(key)).await {
            Ok(meta) => Ok(Some((self.object(key, &meta), meta.e_tag.unwrap_or_default()))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(format_args!("asking for object {key}"), &error)),
        }
    }

    /// The bytes of `range`, which is within the object, in pieces. Another object under the same key is an error, not
    /// other bytes.
    pub(crate) fn stream(self, key: Key, etag: String, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Error>> {
        if range.is_empty() {
            return stream::empty().boxed();
        }
        let length = range.end - range.start;
        let options = GetOptions {
            range: Some(range.into()),
            if_match: (!etag.is_empty()).then_some(etag),
            ..GetOptions::default()
        };
        let name = key.clone();
        let broken = move |error: object_store::Error| match error {
            object_store::Error::NotFound { .. } => Error::Missing(name.clone()),
            other => failed(format_args!("reading object {name}"), &other),
        };
        let asked = async move {
            let got = self.place.store.get_opts(&self.path_of(&key), options).await.map_err(broken.clone())?;
            Ok::<_, Error>(got.into_stream().map_err(broken).map_ok(pieces).try_flatten())
        };
        whole(stream::once(asked).try_flatten(), length).boxed()
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<bool, Error> {
        let existed = self.head(key).await?.is_some();
        if existed {
            let deleted = self.place.store.delete(&self.path_of(key)).await;
            deleted.map_err(|error| failed(format_args!("erasing object {key}"), &error))?;
        }
        Ok(existed)
    }

    pub(crate) async fn delete_below(&self, prefix: &Key) -> Result<u64, Error> {
        let erasing = |error| failed(format_args!("erasing what is below {prefix}"), &error);
        let below = self.place.store.list(Some(&self.path_of(prefix))).map_ok(|meta| meta.location);
        let erased = self.place.store.delete_stream(below.boxed());
        erased.try_fold(0, async |count, _| Ok(count + 1)).await.map_err(erasing)
    }

    pub(crate) async fn list(&self, prefix: Option<&Key>) -> Result<Vec<Object>, Error> {
        let below = self.path(prefix.map_or("", Key::as_str));
        let found = self.place.store.list(Some(&below)).try_filter_map(async |meta| {
            // What has no valid key is not ours.
            let key = self.place.name(&meta.location).and_then(|name| Key::parse(name).ok());
            Ok(key.map(|key| self.object(&key, &meta)))
        });
        let mut objects: Vec<_> = found.try_collect().await.map_err(|error| failed("listing the storage", &error))?;
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }
}

/// What came at once, in pieces of at most [`PIECE_BYTES`].
fn pieces(mut bytes: Bytes) -> impl Stream<Item = Result<Bytes, Error>> {
    stream::iter(std::iter::from_fn(move || {
        let length = bytes.remaining().min(PIECE_BYTES);
        (length > 0).then(|| Ok(bytes.split_to(length)))
    }))
}

/// The same stream, and an error if it ends before `length` bytes have come.
fn whole(
    bytes: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
    length: u64,
) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    stream::try_unfold((bytes.boxed(), length), async |(mut bytes, left)| match bytes.try_next().await? {
        Some(piece) => {
            let left = left.saturating_sub(piece.len() as u64);
            Ok(Some((piece, (bytes, left))))
        }
        None if left == 0 => Ok(None),
        None => {
            let source = io::Error::from(io::ErrorKind::UnexpectedEof);
            Err(Error::io(format!("reading an object of which {left} bytes didn't come"), source))
        }
    })
}
