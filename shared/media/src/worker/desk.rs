//! What a running task gets from its parent: sources, whole or block by block, and the output.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    blocks::{Blocks, Pace, State},
    receive, send,
};
use crate::{
    Error, Phase, Progress,
    host::{Host, Source},
    wire::{BLOCK_BYTES, Channel, Fault, FromChild, MAX_FETCHES, Opening, ToChild},
};

/// How often progress is sent, and cancellation looked for.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// The [`Host`] of a task: what it may have, it gets from the parent.
pub(super) struct Desk {
    output: Option<File>,
    line: Arc<Mutex<Line>>,
}

/// The line to the parent, and what has come over it of remote sources.
pub(super) struct Line {
    pub(super) channel: Channel,
    /// When progress was last sent, and in which phase.
    reported: Option<(Instant, Phase)>,
    cancelled: bool,
    blocks: Blocks,
    /// Runs of blocks that are on their way.
    fetches: usize,
}

/// A source that the parent reads from afar, as far as it is asked for.
struct Remote {
    line: Arc<Mutex<Line>>,
    source: u32,
    size: u64,
    scratch: File,
    pace: Mutex<Pace>,
}

impl Desk {
    pub(super) fn new(channel: Channel, output: Option<File>) -> Self {
        let line = Line { channel, reported: None, cancelled: false, blocks: Blocks::default(), fetches: 0 };
        Self { output, line: Arc::new(Mutex::new(line)) }
    }

    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        lock(&self.line)
    }
}

impl Host for Desk {
    fn open(&self, source: u32) -> Result<Box<dyn Source>, Error> {
        let (opening, file) = self.line().open(source)?;
        Ok(match opening {
            Opening::Whole => Box::new(file),
            Opening::Remote { size_bytes: size } => {
                Box::new(Remote { line: self.line.clone(), source, size, scratch: file, pace: Mutex::default() })
            }
        })
    }

    fn output(&self) -> Result<File, Error> {
        let output = self.output.as_ref().ok_or_else(|| Error::Internal("the task came without an output".into()))?;
        output.try_clone().map_err(|error| Error::Io(format!("the output: {error}")))
    }

    fn report(&self, progress: Progress) -> Result<(), Error> {
        let mut line = self.line();
        line.check()?;
        let now = Instant::now();
        let is_due = |(at, phase)| phase != progress.phase || now.duration_since(at) >= REPORT_INTERVAL;
        if line.reported.is_none_or(is_due) {
            line.reported = Some((now, progress.phase));
            line.send(&FromChild::Progress(progress))?;
            while let Some((message, _)) = line.channel.receive::<ToChild<'_>>()? {
                line.hear(message)?;
            }
        }
        line.check()
    }
}

impl Source for Remote {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if buffer.is_empty() || offset >= self.size {
            return Ok(0);
        }
        let (block, within) = (offset / BLOCK_BYTES, offset % BLOCK_BYTES);
        let count = self.size.div_ceil(BLOCK_BYTES);
        let run = lock(&self.pace).step(block, count);
        // Held until the bytes are copied: a slot is put to another use by whoever holds the line.
        let mut line = lock(&self.line);
        let slot = line.locate(self.source, block, count, run).map_err(io::Error::other)?;
        line.read_ahead(self.source, block, count, run).map_err(io::Error::other)?;
        let known = (BLOCK_BYTES - within).min(self.size - offset);
        let length = buffer.len().min(usize::try_from(known).unwrap_or(usize::MAX));
        self.scratch.read_exact_at(&mut buffer[..length], u64::from(slot) * BLOCK_BYTES + within)?;
        Ok(length)
    }
}

impl Line {
    fn check(&self) -> Result<(), Error> {
        if self.cancelled { Err(Error::Cancelled) } else { Ok(()) }
    }

    pub(super) fn send(&mut self, message: &FromChild) -> Result<(), Fault> {
        send(&mut self.channel, message)
    }

    fn open(&mut self, source: u32) -> Result<(Opening, File), Error> {
        self.check()?;
        self.send(&FromChild::Open { source })?;
        loop {
            match receive(&mut self.channel)? {
                (ToChild::Source(Ok(opening)), Some(file)) => return Ok((opening, file)),
                (ToChild::Source(Err(why)), _) => return Err(why),
                (message, _) => self.hear(message)?,
            }
            self.check()?;
        }
    }

    /// Takes note of what nobody waits for.
    fn hear(&mut self, message: ToChild<'_>) -> Result<(), Error> {
        match message {
            ToChild::Fetched { run, result } => {
                self.fetches = self.fetches.saturating_sub(1);
                self.blocks.settle(&run, result);
            }
            ToChild::Cancel => self.cancelled = true,
            other => return Err(Error::Internal(format!("out of turn came {other:?}"))),
        }
        Ok(())
    }

    /// The slot of a block, fetched with some of those behind it if it isn't here.
    fn locate(&mut self, source: u32, block: u64, count: u64, run: usize) -> Result<u32, Error> {
        loop {
            self.check()?;
            match self.blocks.state(source, block) {
                Some(State::Present(slot)) => return Ok(slot),
                Some(State::Failed(why)) => return Err(why),
                None if self.fetches < MAX_FETCHES => self.fetch(source, block, count, run)?,
                Some(State::Awaited) | None => {}
            }
            let (message, _) = receive(&mut self.channel)?;
            self.hear(message)?;
        }
    }

    /// Asks for what a reader that goes on like this needs next, and doesn't wait for it.
    fn read_ahead(&mut self, source: u32, block: u64, count: u64, run: usize) -> Result<(), Error> {
        if run < 2 || self.fetches == MAX_FETCHES {
            return Ok(());
        }
        let missing = (block + 1..count).take(run).find(|next| !self.blocks.knows(source, *next));
        missing.map_or(Ok(()), |next| self.fetch(source, next, count, run))
    }

    fn fetch(&mut self, source: u32, block: u64, count: u64, run: usize) -> Result<(), Error> {
        let run = self.blocks.reserve(source, block..count.min(block + run as u64));
        self.fetches += 1;
        Ok(self.send(&FromChild::Fetch(run))?)
    }
}

/// A panic on another thread leaves what it locked as good as it was: messages are queued whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
