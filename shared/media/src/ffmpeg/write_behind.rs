//! Writing a file on a thread of its own: whoever makes the bytes goes on making them.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd, unix::fs::FileExt},
    sync::mpsc,
    thread,
};

use crate::digest::{FileDigest, RunningDigest};

/// Bytes that are written at once.
const BLOCK: usize = 1 << 20;
/// Blocks that may wait to be written.
const WAITING: usize = 8;
/// The disk is asked to write so much at once.
const SYNC_STEP: u64 = 4 << 20;

/// What came of writing.
type Written = io::Result<Option<FileDigest>>;

/// A file that is written behind its maker's back. Once it is dropped, nothing is written any more.
pub(super) struct WriteBehind {
    /// `None`, both of them, once it has ended.
    blocks: Option<mpsc::SyncSender<Block>>,
    thread: Option<thread::JoinHandle<Written>>,
    /// Buffers that can be filled again: fresh memory costs as much as copying does.
    spent: mpsc::Receiver<Vec<u8>>,
    /// What isn't handed over yet.
    block: Block,
}

/// Bytes, and where they go.
struct Block {
    start: u64,
    bytes: Vec<u8>,
}

impl Block {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl WriteBehind {
    /// `hashes`: whether the file goes from front to back, so that its hash is known when it is written.
    pub(super) fn start(file: File, hashes: bool) -> Self {
        let (blocks, received) = mpsc::sync_channel(WAITING);
        let (done, spent) = mpsc::channel();
        let thread = thread::spawn(move || write_all(&file, received, hashes, done));
        let block = Block { start: 0, bytes: Vec::with_capacity(BLOCK) };
        Self { blocks: Some(blocks), thread: Some(thread), spent, block }
    }

    /// Takes bytes that go to `position`.
    ///
    /// # Errors
    /// That of an earlier write, once.
    pub(super) fn write_at(&mut self, mut bytes: &[u8], position: u64) -> io::Result<()> {
        if position != self.block.end() {
            self.hand_over(position)?;
        }
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.bytes.len()));
            self.block.bytes.extend_from_slice(now);
            bytes = later;
            if self.block.bytes.len() == BLOCK {
                self.hand_over(self.block.end())?;
            }
        }
        Ok(())
    }

    /// Waits until everything is written, and returns its hash, if there is one.
    ///
    /// # Errors
    /// That of an earlier write, unless `write_at` has told it.
    pub(super) fn finish(mut self) -> Written {
        self.hand_over(0)?;
        self.end()
    }

    /// Hands over what there is; what comes next goes to `next`.
    fn hand_over(&mut self, next: u64) -> io::Result<()> {
        if self.block.bytes.is_empty() {
            self.block.start = next;
            return Ok(());
        }
        let mut bytes = self.spent.try_recv().unwrap_or_else(|_| Vec::with_capacity(BLOCK));
        bytes.clear();
        let block = std::mem::replace(&mut self.block, Block { start: next, bytes });
        match self.blocks.as_ref().map(|blocks| blocks.send(block)) {
            Some(Ok(())) => Ok(()),
            // The thread ends early only for an error.
            Some(Err(_)) | None => self.end().map(drop),
        }
    }

    /// Waits for the thread.
    fn end(&mut self) -> Written {
        self.blocks = None;
        let thread = self.thread.take().ok_or_else(|| io::Error::other("writing has failed before"))?;
        thread.join().map_err(|_| io::Error::other("the thread that writes panicked"))?
    }
}

impl Drop for WriteBehind {
    /// Whoever made the file may clear it, and begin again.
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _ = self.end();
        }
    }
}

fn write_all(file: &File, blocks: mpsc::Receiver<Block>, hashes: bool, done: mpsc::Sender<Vec<u8>>) -> Written {
    let mut digest = hashes.then(|| RunningDigest::start(done.clone()));
    let mut started = 0;
    for Block { start, bytes } in blocks {
        file.write_all_at(&bytes, start)?;
        let end = start + bytes.len() as u64;
        match &mut digest {
            Some(digest) => digest.take(start, bytes),
            // Whoever doesn't want it back has enough.
            None => drop(done.send(bytes)),
        }
        while end >= started + SYNC_STEP {
            start_syncing(file, started);
            started += SYNC_STEP;
        }
    }
    Ok(digest.and_then(RunningDigest::finish))
}

/// Has the disk begin with what is finished, so that syncing at the end finds little left to do.
fn start_syncing(file: &File, from: u64) {
    let (from, length) = (from as i64, SYNC_STEP as i64);
    // SAFETY: the descriptor is open, and the call only reads numbers. It is a hint: whether it succeeds makes no
    // difference to what is synced later.
    unsafe { libc::sync_file_range(file.as_raw_fd(), from, length, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::digest;

    #[test]
    fn what_is_written_in_any_order_is_where_it_belongs() {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..3_300_000u32).map(|n| (n.wrapping_mul(n) >> 9) as u8).collect();
        let mut writing = WriteBehind::start(file.try_clone().unwrap(), false);
        writing.write_at(&bytes[500..1000], 500).unwrap();
        writing.write_at(&bytes[1000..], 1000).unwrap();
        writing.write_at(&bytes[..500], 0).unwrap();
        assert_eq!(writing.finish().unwrap(), None);
        let mut written = vec![0; bytes.len()];
        file.read_exact_at(&mut written, 0).unwrap();
        assert!(written == bytes);
    }

    #[test]
    fn what_is_written_from_front_to_back_is_hashed() {
        let file = tempfile::tempfile().unwrap();
        let mut writing = WriteBehind::start(file.try_clone().unwrap(), true);
        let mut position = 0;
        for length in [1, 187, BLOCK, 2 * BLOCK + 7, 0, 300_000] {
            writing.write_at(&vec![length as u8; length], position).unwrap();
            position += length as u64;
        }
        let known = writing.finish().unwrap().unwrap();
        assert_eq!(known, digest(&file).unwrap());
        assert_eq!(known.size_bytes, position);
    }

    #[test]
    fn a_write_that_fails_is_told() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut writing = WriteBehind::start(full, true);
        writing.write_at(b"abc", 0).unwrap();
        assert_eq!(writing.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);

        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut writing = WriteBehind::start(full, true);
        // More than may wait: some write is told.
        let block = vec![0; BLOCK];
        let told = (0..100).find_map(|block_number| writing.write_at(&block, block_number * BLOCK as u64).err());
        assert_eq!(told.unwrap().kind(), io::ErrorKind::StorageFull);
        assert!(writing.finish().is_err());
    }
}
