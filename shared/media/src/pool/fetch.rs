//! Sources that lie elsewhere. Each read has a thread to itself, so that neither a slow store nor a dead one keeps a
//! session from watching its child; what is read goes into the session's scratch file.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{CWD, MemfdFlags, Mode, OFlags, memfd_create, openat},
};

use super::RangeReader;
use crate::wire::{BLOCK_BYTES, MAX_FETCHES, MAX_RUN, Run, SLOTS};

/// Reads remote sources for one session.
pub(super) struct Fetcher {
    scratch: Arc<File>,
    sources: HashMap<u32, Remote>,
    /// Reads under way.
    fetches: usize,
    /// Whether a size is being asked for.
    is_measuring: bool,
    /// Blocks that have come, by source and number.
    seen: HashSet<(u32, u64)>,
    sender: Sender<Finished>,
    finished: Receiver<Finished>,
    /// Rung when something has finished.
    bell: Arc<OwnedFd>,
}

/// A remote source; every read of it is of the same version, which is its reader's business.
#[derive(Clone)]
struct Remote {
    reader: Arc<dyn RangeReader>,
    size: u64,
}

/// What came of a read.
pub(super) enum Finished {
    Measured { source: u32, reader: Arc<dyn RangeReader>, size: io::Result<u64> },
    Fetched { run: Run, result: io::Result<()> },
}

impl Fetcher {
    /// `folder` is where the scratch file is, without a name; where that can't be, it is in memory.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let scratch = openat(CWD, folder, flags, Mode::RUSR | Mode::WUSR)
            .or_else(|_| memfd_create("media-scratch", MemfdFlags::CLOEXEC))?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (sender, finished) = channel();
        Ok(Self {
            scratch: Arc::new(scratch.into()),
            sources: HashMap::new(),
            fetches: 0,
            is_measuring: false,
            seen: HashSet::new(),
            sender,
            finished,
            bell: Arc::new(bell),
        })
    }

    /// The scratch file as a child gets it: to read from, and nothing else.
    pub(super) fn scratch(&self) -> io::Result<File> {
        File::open(format!("/proc/self/fd/{}", self.scratch.as_raw_fd()))
    }

    /// Can be read when something has finished.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// The size of a source that was opened before.
    pub(super) fn size(&self, source: u32) -> Option<u64> {
        self.sources.get(&source).map(|remote| remote.size)
    }

    /// Whether a source's size is still being asked for.
    pub(super) fn is_measuring(&self) -> bool {
        self.is_measuring
    }

    /// Asks for the size of a source.
    ///
    /// # Errors
    /// If no thread starts.
    pub(super) fn measure(&mut self, source: u32, reader: Arc<dyn RangeReader>) -> io::Result<()> {
        self.is_measuring = true;
        self.start(move || {
            let size = reader.size();
            Finished::Measured { source, reader, size }
        })
    }

    /// Whether a child may ask for this.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(&self, run: &Run) -> Result<(), String> {
        let remote = self.sources.get(&run.source);
        let remote =
            remote.ok_or_else(|| format!("it asked for blocks of source {}, which is not remote", run.source))?;
        let count = remote.size.div_ceil(BLOCK_BYTES);
        let is_inside = run.block.checked_add(run.slots.len() as u64).is_some_and(|end| end <= count);
        if run.slots.is_empty() || run.slots.len() > MAX_RUN || !is_inside {
            return Err(format!("it asked for {} blocks from {} of {count}", run.slots.len(), run.block));
        }
        if let Some(slot) = run.slots.iter().find(|slot| **slot >= SLOTS) {
            return Err(format!("it asked for slot {slot}, and there are {SLOTS}"));
        }
        if self.fetches == MAX_FETCHES {
            return Err(format!("it asked for more than {MAX_FETCHES} reads at once"));
        }
        Ok(())
    }

    /// Fetches a run of blocks that has been checked.
    ///
    /// # Errors
    /// If no thread starts.
    pub(super) fn fetch(&mut self, run: Run) -> io::Result<()> {
        let Some(remote) = self.sources.get(&run.source).cloned() else { return Err(io::ErrorKind::NotFound.into()) };
        self.fetches += 1;
        let scratch = self.scratch.clone();
        self.start(move || {
            let result = copy(&remote, &run, &scratch);
            Finished::Fetched { run, result }
        })
    }

    /// Something that has finished since this was last asked.
    pub(super) fn finished(&mut self) -> Option<Finished> {
        // Emptied first: what finishes from here on rings again.
        let _ = rustix::io::read(&*self.bell, &mut [0; 8]);
        let finished = self.finished.try_recv().ok()?;
        match &finished {
            Finished::Measured { source, reader, size } => {
                self.is_measuring = false;
                if let Ok(size) = size {
                    self.sources.insert(*source, Remote { reader: reader.clone(), size: *size });
                }
            }
            Finished::Fetched { .. } => self.fetches -= 1,
        }
        Some(finished)
    }

    /// Whether any block of a run has come for the first time.
    pub(super) fn is_new(&mut self, run: &Run) -> bool {
        let before = self.seen.len();
        self.seen.extend((run.block..).zip(&run.slots).map(|(block, _)| (run.source, block)));
        self.seen.len() > before
    }

    /// Does `work` on a thread of its own. If the session ends before, nobody hears of it.
    fn start(&self, work: impl FnOnce() -> Finished + Send + 'static) -> io::Result<()> {
        let (sender, bell) = (self.sender.clone(), self.bell.clone());
        let work = move || {
            if sender.send(work()).is_ok() {
                // It fails if the bell has been rung 2^64 times, and then it rings anyway.
                let _ = rustix::io::write(&*bell, &1u64.to_ne_bytes());
            }
        };
        thread::Builder::new().name("media-fetch".into()).spawn(work).map(drop)
    }
}

/// Reads a run of blocks into the scratch file.
fn copy(remote: &Remote, run: &Run, scratch: &File) -> io::Result<()> {
    let start = run.block * BLOCK_BYTES;
    let end = remote.size.min(start + run.slots.len() as u64 * BLOCK_BYTES);
    let mut bytes = vec![0; (end - start) as usize];
    remote.reader.read_exact_at(&mut bytes, start)?;
    for (block, slot) in bytes.chunks(BLOCK_BYTES as usize).zip(&run.slots) {
        scratch.write_all_at(block, u64::from(*slot) * BLOCK_BYTES)?;
    }
    Ok(())
}
