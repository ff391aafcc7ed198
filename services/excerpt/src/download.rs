//! Fetches a finished file: into `FILE.part`, from where an earlier run stopped; renamed to `FILE` once every byte is there
//! and the hash is right.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use protocol::export::v1::{DownloadFileRequest, Export, ExportedFile};
use sha2::{Digest, Sha256};
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncReadExt, AsyncWriteExt},
};
use tonic::Status;

use crate::{
    client::{Patience, Service, Stop},
    failure::Failure,
    lines::{DownloadLine, Line},
    output::Output,
    units::printable,
};

/// Fetches one of the files of `export` to `target`.
///
/// # Errors
/// If there is none, if `target` exists with other content, if the server refuses or is gone for long, if the disk is
/// full; or `INTERRUPTED`. What was fetched stays in `target.part`.
pub(crate) async fn download(
    service: &mut Service,
    export: &Export,
    index: usize,
    target: &Path,
    output: &mut Output,
) -> Result<(), Failure> {
    let file = files(export).get(index).ok_or_else(|| no_file(export))?;
    let wanted = Wanted { id: &export.id, index: i32::try_from(index).unwrap_or(i32::MAX), file };
    let fetched = tokio::select! {
        fetched = fetch(service, &wanted, target, output) => fetched,
        _ = tokio::signal::ctrl_c() => {
            let rest = "what was fetched is kept; the same command fetches the rest".to_owned();
            Err(Failure::interrupted(format!("stopped fetching {}", file.name), [rest]))
        }
    };
    output.clear();
    fetched?;
    let whole = DownloadLine { sha256: Some(file.sha256.clone()), ..line(&export.id, target, size(file), file) };
    let sentence = || format!("{}: {} bytes, sha256 {}", target.display(), file.size_bytes, printable(&file.sha256));
    output.say(|| Line::Download(whole), sentence)
}

/// A file, and what it takes to ask for it.
struct Wanted<'a> {
    id: &'a str,
    index: i32,
    file: &'a ExportedFile,
}

/// All files of an export. Servers that know of no second file name one only.
pub(crate) fn files(export: &Export) -> &[ExportedFile] {
    if export.files.is_empty() { export.file.as_slice() } else { &export.files }
}

/// There is nothing to fetch.
pub(crate) fn no_file(export: &Export) -> Failure {
    Failure::new(format!("export {} has no file yet", export.id))
}

/// The name that the server gives a file, if it is no more than a name.
///
/// # Errors
/// If it could lead out of the folder.
pub(crate) fn safe_name(file: &ExportedFile) -> Result<&str, Failure> {
    let is_name = Path::new(&file.name).file_name().is_some_and(|name| name == file.name.as_str());
    if !is_name || file.name.chars().any(char::is_control) {
        return Err(Failure::new(format!("{:?} is not a file name", file.name)).and("choose one with --output"));
    }
    Ok(&file.name)
}

async fn fetch(service: &mut Service, wanted: &Wanted<'_>, target: &Path, output: &mut Output) -> Result<(), Failure> {
    let file = wanted.file;
    if fs::try_exists(target).await.unwrap_or(false) {
        return check_existing(target, file).await;
    }
    loop {
        let mut part = Part::open(target).await.map_err(|error| unwritable(target, &error))?;
        let resumed = part.done > 0;
        part.fill(service, wanted, target, output).await?;
        if part.is_whole(file) {
            return part.publish(target).await.map_err(|error| unwritable(target, &error));
        }
        fs::remove_file(&part.path).await.map_err(|error| unwritable(target, &error))?;
        if !resumed {
            let damaged = format!("{} arrived damaged: its SHA-256 is not {}", target.display(), file.sha256);
            return Err(Failure::new(damaged).and("nothing is kept of it; try again"));
        }
        output.remark("what an earlier run left is of another file; starting anew");
    }
}

/// A file that is already there is as good as one that is fetched, if it is the same.
async fn check_existing(target: &Path, file: &ExportedFile) -> Result<(), Failure> {
    let (_, digest) = read_back(target).await.map_err(|error| unreadable(target, &error))?;
    if hex(digest) == file.sha256 {
        return Ok(());
    }
    Err(Failure::new(format!("{} is there already, and is another file", target.display()))
        .and("move it away, or choose another name with --output"))
}

/// A file that isn't whole yet.
struct Part {
    path: PathBuf,
    file: File,
    done: u64,
    digest: Sha256,
}

impl Part {
    /// What an earlier run left of `target`, or nothing.
    async fn open(target: &Path) -> io::Result<Self> {
        let mut name = OsString::from(target);
        name.push(".part");
        let path = PathBuf::from(name);
        let file = OpenOptions::new().append(true).create(true).open(&path).await?;
        let (done, digest) = read_back(&path).await?;
        Ok(Self { path, file, done, digest })
    }

    /// Fetches what is missing, over as many connections as it takes.
    async fn fill(
        &mut self,
        service: &mut Service,
        wanted: &Wanted<'_>,
        target: &Path,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let file = wanted.file;
        let mut patience = Patience::new();
        while self.done < size(file) {
            let before = self.done;
            let broken = match self.stream(service, wanted, target, output).await {
                Ok(()) => Status::unavailable("the stream ended before the file had"),
                Err(Stop::Failed(failure)) => return Err(failure),
                Err(Stop::Broken(status)) => status,
            };
            if self.done == size(file) {
                break;
            }
            if self.done > before {
                patience = Patience::new();
            }
            patience.after(broken, output).await?;
        }
        self.file.sync_all().await.map_err(|error| unwritable(target, &error))
    }

    /// Takes what one connection gives.
    async fn stream(
        &mut self,
        service: &mut Service,
        wanted: &Wanted<'_>,
        target: &Path,
        output: &mut Output,
    ) -> Result<(), Stop> {
        let Wanted { id, index, file } = *wanted;
        let offset = i64::try_from(self.done).unwrap_or(i64::MAX);
        let request = DownloadFileRequest { id: id.to_owned(), offset, file_index: index };
        let mut pieces = service.download_file(request).await?.into_inner();
        while let Some(piece) = pieces.message().await? {
            let left = size(file) - self.done;
            if u64::try_from(piece.offset) != Ok(self.done) || piece.data.len() as u64 > left {
                return Err(Failure::new("the server sent other bytes than were asked for").into());
            }
            self.file.write_all(&piece.data).await.map_err(|error| unwritable(target, &error))?;
            self.digest.update(&piece.data);
            self.done += piece.data.len() as u64;
            output.download(line(id, target, self.done, file))?;
        }
        Ok(())
    }

    fn is_whole(&self, file: &ExportedFile) -> bool {
        self.done == size(file) && hex(self.digest.clone()) == file.sha256
    }

    async fn publish(self, target: &Path) -> io::Result<()> {
        drop(self.file);
        fs::rename(&self.path, target).await
    }
}

/// The length of a file, and its hash so far.
async fn read_back(path: &Path) -> io::Result<(u64, Sha256)> {
    let mut file = File::open(path).await?;
    let (mut length, mut digest, mut buffer) = (0, Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok((length, digest)),
            read => {
                length += read as u64;
                digest.update(&buffer[..read]);
            }
        }
    }
}

fn line(id: &str, target: &Path, done: u64, file: &ExportedFile) -> DownloadLine {
    let path = target.display().to_string();
    DownloadLine { id: id.to_owned(), path, done_bytes: done, size_bytes: size(file), sha256: None }
}

fn size(file: &ExportedFile) -> u64 {
    u64::try_from(file.size_bytes).unwrap_or_default()
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unwritable(target: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} can't be written: {error}", target.display())).and("choose another place with --output")
}

fn unreadable(target: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} can't be read: {error}", target.display())).and("choose another name with --output")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, Lines};

    #[test]
    fn a_server_cannot_choose_the_folder() {
        let named =
            |name: &str| safe_name(&ExportedFile { name: name.into(), ..Default::default() }).map(str::to_owned);
        assert_eq!(named("clip.ts").as_deref(), Ok("clip.ts"));
        for name in ["", ".", "..", "/etc/passwd", "../clip.ts", "a/b.ts", "clip.ts/", "a\nb.ts"] {
            assert!(named(name).is_err(), "{name:?}");
        }
    }

    fn made_of(content: &[u8]) -> Export {
        let sha256 = hex(Sha256::new_with_prefix(content));
        let file =
            ExportedFile { name: "clip.ts".into(), size_bytes: content.len() as i64, sha256, ..Default::default() };
        Export { id: "e1".into(), file: Some(file), ..Default::default() }
    }

    /// Downloads what `fake` has as `export`, over what lies in `part`; gives the result and what is in the folder then.
    async fn fetched(
        fake: &Fake,
        export: &Export,
        part: Option<&[u8]>,
    ) -> (Result<(), Failure>, Vec<(String, Vec<u8>)>) {
        let folder = tempfile::tempdir().unwrap();
        if let Some(part) = part {
            std::fs::write(folder.path().join("clip.ts.part"), part).unwrap();
        }
        let (lines, mut service) = (Lines::default(), fake.serve().await);
        let result = download(&mut service, export, 0, &folder.path().join("clip.ts"), &mut lines.output()).await;
        let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
        let read =
            |entry: std::fs::DirEntry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
        (result, entries.map(read).collect())
    }

    #[tokio::test]
    async fn a_download_goes_on_where_the_connection_broke() {
        let fake = Fake::default();
        fake.file(b"hello, world", [5, 3, 100]);
        let (result, files) = fetched(&fake, &made_of(b"hello, world"), None).await;
        assert_eq!(result, Ok(()));
        assert_eq!(fake.asked_after(), [0, 5, 8]);
        assert_eq!(files, [("clip.ts".to_owned(), b"hello, world".to_vec())]);
    }

    #[tokio::test]
    async fn a_part_is_taken_up_where_it_ends() {
        let fake = Fake::default();
        fake.file(b"hello, world", [100]);
        let (result, files) = fetched(&fake, &made_of(b"hello, world"), Some(b"hello")).await;
        assert_eq!((result, fake.asked_after()), (Ok(()), vec![5]));
        assert_eq!(files, [("clip.ts".to_owned(), b"hello, world".to_vec())]);
    }

    #[tokio::test]
    async fn a_part_of_another_file_is_fetched_anew() {
        for part in [&b"jello"[..], b"jello, world", b"much longer than the file ever was"] {
            let fake = Fake::default();
            fake.file(b"hello, world", [100, 100]);
            let (result, files) = fetched(&fake, &made_of(b"hello, world"), Some(part)).await;
            assert_eq!((result, fake.asked_after().last()), (Ok(()), Some(&0)));
            assert_eq!(files, [("clip.ts".to_owned(), b"hello, world".to_vec())]);
        }
    }

    #[tokio::test]
    async fn damaged_bytes_are_not_kept() {
        let fake = Fake::default();
        fake.file(b"hellO, world", [100]);
        let (result, files) = fetched(&fake, &made_of(b"hello, world"), None).await;
        assert!(result.unwrap_err().to_string().contains("arrived damaged"));
        assert_eq!(files, []);
    }

    #[tokio::test]
    async fn a_server_that_sends_too_much_is_stopped() {
        let fake = Fake::default();
        fake.file(b"hello, world and more", [100]);
        let (result, _) = fetched(&fake, &made_of(b"hello, world"), None).await;
        assert!(result.unwrap_err().to_string().contains("other bytes"));
    }

    #[tokio::test]
    async fn a_file_that_is_there_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("clip.ts");
        std::fs::write(&target, b"abc").unwrap();
        let same = made_of(b"abc").file.unwrap();
        assert_eq!(check_existing(&target, &same).await, Ok(()));
        let other = made_of(b"abd").file.unwrap();
        assert!(check_existing(&target, &other).await.is_err());
    }
}
