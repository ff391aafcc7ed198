//! SHA-256 of a file: while it is written, where that goes from front to back, or afterwards.

use std::{fs::File, io, os::unix::fs::FileExt, sync::mpsc, thread};

use sha2::{Digest, Sha256};

/// Bytes read at once.
const BLOCK: usize = 1 << 20;
/// Blocks that may wait for the hashing thread.
const WAITING: usize = 16;

/// A file's size and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileDigest {
    pub(crate) size_bytes: u64,
    /// Lower-case hex.
    pub(crate) sha256: String,
}

impl FileDigest {
    fn new(size_bytes: u64, hasher: Sha256) -> Self {
        Self { size_bytes, sha256: hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect() }
    }
}

/// Reads `file` from front to back, and hashes it.
///
/// # Errors
/// What reading says.
pub(crate) fn digest(file: &File) -> io::Result<FileDigest> {
    let (mut hasher, mut block, mut position) = (Sha256::new(), vec![0; BLOCK], 0);
    loop {
        match file.read_at(&mut block, position)? {
            0 => return Ok(FileDigest::new(position, hasher)),
            read => {
                hasher.update(&block[..read]);
                position += read as u64;
            }
        }
    }
}

/// Hashes on a thread of its own what is written, as long as it is written from front to back.
pub(crate) struct RunningDigest {
    blocks: mpsc::SyncSender<Vec<u8>>,
    thread: thread::JoinHandle<FileDigest>,
    position: u64,
    is_whole: bool,
}

impl RunningDigest {
    /// Blocks that are hashed go to `done`, to be filled again.
    pub(crate) fn start(done: mpsc::Sender<Vec<u8>>) -> Self {
        let (blocks, received) = mpsc::sync_channel::<Vec<u8>>(WAITING);
        let thread = thread::spawn(move || {
            let (mut hasher, mut size) = (Sha256::new(), 0);
            for block in received {
                hasher.update(&block);
                size += block.len() as u64;
                // Whoever doesn't want it back has enough.
                let _ = done.send(block);
            }
            FileDigest::new(size, hasher)
        });
        Self { blocks, thread, position: 0, is_whole: true }
    }

    /// Takes what was written at `position`.
    pub(crate) fn take(&mut self, position: u64, bytes: Vec<u8>) {
        self.is_whole &= position == self.position;
        self.position = position + bytes.len() as u64;
        // A thread that has ended makes the digest unusable, and `finish` says so.
        self.is_whole = self.is_whole && self.blocks.send(bytes).is_ok();
    }

    /// The hash of everything, unless something was written out of order.
    pub(crate) fn finish(self) -> Option<FileDigest> {
        drop(self.blocks);
        self.thread.join().ok().filter(|_| self.is_whole)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn both_ways_give_the_same() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let mut running = RunningDigest::start(mpsc::channel().0);
        let mut position = 0;
        for block in bytes.chunks(700_001) {
            running.take(position, block.to_vec());
            position += block.len() as u64;
        }
        assert_eq!(running.finish(), Some(digest(&file).unwrap()));
    }

    #[test]
    fn the_hash_is_that_of_fips_180() {
        let mut file = tempfile::tempfile().unwrap();
        let hash = |file: &File| digest(file).unwrap().sha256;
        assert_eq!(hash(&file), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        file.write_all(b"abc").unwrap();
        assert_eq!(hash(&file), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn what_is_written_out_of_order_has_no_running_digest() {
        let mut running = RunningDigest::start(mpsc::channel().0);
        running.take(0, b"abc".to_vec());
        running.take(1, b"x".to_vec());
        assert_eq!(running.finish(), None);
    }
}
