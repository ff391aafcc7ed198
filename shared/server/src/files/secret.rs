//! The secret that signs URLs: 32 random bytes in a file that only we can read.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use uuid::Uuid;

use crate::Error;

const SECRET_BYTES: usize = 32;

/// Reads the secret at `path`, made first if it is missing. Of several processes that make it at once, one succeeds and
/// the others take its secret.
///
/// # Errors
/// If it can't be read or made, has another length, or others than its owner can read it.
pub(super) fn load(path: &Path) -> Result<[u8; SECRET_BYTES], Error> {
    let unusable = |reason: String| Error::Data { path: path.to_owned(), reason };
    if !path.exists() {
        make(path).map_err(|e| unusable(format!("a secret can't be written there: {e}")))?;
    }
    let mut file = File::open(path).map_err(|e| unusable(e.to_string()))?;
    let metadata = file.metadata().map_err(|e| unusable(e.to_string()))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(unusable("others can read this secret: chmod 600".to_owned()));
    }
    if !metadata.is_file() || metadata.len() != SECRET_BYTES as u64 {
        return Err(unusable(format!(
            "this is not a secret of {SECRET_BYTES} bytes: remove it, and a new one is made"
        )));
    }
    let mut secret = [0; SECRET_BYTES];
    file.read_exact(&mut secret).map_err(|e| unusable(e.to_string()))?;
    Ok(secret)
}

/// Writes a new secret aside and gives it its name when it is whole, unless there is one by then.
fn make(path: &Path) -> io::Result<()> {
    let mut secret = [0; SECRET_BYTES];
    let filled = rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())?;
    if filled != SECRET_BYTES {
        return Err(io::Error::other("the system gave too little randomness"));
    }
    let draft = path.with_extension(Uuid::new_v4().simple().to_string());
    let written = write(&draft, &secret).and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        written => written,
    }
}

fn write(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, thread};

    use super::*;

    #[test]
    fn all_get_the_same_secret_however_many_make_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let secrets: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| load(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0] && *secret != [0; SECRET_BYTES]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_bad_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        load(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("others can read"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"short").unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("not a secret of 32 bytes"));
        assert!(load(&folder.path().join("nowhere/secret")).unwrap_err().to_string().contains("nowhere"));
    }
}
