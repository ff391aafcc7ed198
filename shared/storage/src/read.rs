//! Reading an object in pieces.

use std::{fs::File, ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use crate::{Error, Object, blocking, s3::Objects};

/// The size of the pieces in which objects are read; the last one is as long as what is left.
pub const PIECE_BYTES: usize = 256 * 1024;

/// An open object.
#[derive(Debug)]
pub struct Reader {
    body: Body,
    object: Object,
}

/// Where its bytes are.
#[derive(Debug)]
enum Body {
    File(Arc<File>),
    /// In a bucket, under this tag.
    Bucket(Objects, String),
}

impl Reader {
    pub(crate) fn new(file: File, object: Object) -> Self {
        Self { body: Body::File(Arc::new(file)), object }
    }

    pub(crate) fn of_bucket(bucket: Objects, object: Object, etag: String) -> Self {
        Self { body: Body::Bucket(bucket, etag), object }
    }

    /// What is known of it.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// Its bytes in `range`, in pieces, none read before it is asked for.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] at once if `range` is reversed or goes beyond the object; in the stream, when reading fails.
    /// The stream never ends early without an error.
    pub fn stream(self, range: Range<u64>) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let size_bytes = self.object.size_bytes;
        if range.start > range.end || range.end > size_bytes {
            return Err(Error::OutOfRange { key: self.object.key, range, size_bytes });
        }
        let Self { body, object } = self;
        Ok(match body {
            Body::File(file) => of_file(file, object, range).boxed(),
            Body::Bucket(bucket, etag) => bucket.stream(object.key, etag, range),
        })
    }
}

fn of_file(file: Arc<File>, object: Object, range: Range<u64>) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    stream::try_unfold(range, move |rest| {
        let (file, key) = (file.clone(), object.key.clone());
        async move {
            if rest.is_empty() {
                return Ok(None);
            }
            let end = rest.end.min(rest.start + PIECE_BYTES as u64);
            let piece = blocking(move || {
                read_piece(&file, rest.start..end).map_err(|e| Error::io(format!("reading object {key}"), e))
            });
            Ok(Some((piece.await?, end..rest.end)))
        }
    })
}

/// Reads the whole of `range`, which is at most a piece long.
fn read_piece(file: &File, range: Range<u64>) -> std::io::Result<Bytes> {
    let length = (range.end - range.start) as usize;
    let mut piece = vec![0; length];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut piece, range.start)?;
    Ok(piece.into())
}
