//! What a child gets of its sources: a file that lies here as it is, one that lies elsewhere block by block.

use std::{io, sync::Arc, time::Instant};

use rustix::io::Errno;

use super::{End, Session, protocol};
use crate::{
    Error,
    pool::{
        Opened, RangeReader,
        fetch::{Fetcher, Finished},
    },
    wire::{Opening, Run, ToChild},
};

/// Longest reason for a source that can't be opened, in characters.
const MAX_REASON_CHARS: usize = 1000;

impl<'a> Session<'a> {
    pub(super) fn open(&mut self, source: u32) -> Result<(), End> {
        let name = self.name(source)?;
        if self.cancelled.is_some() {
            return Ok(());
        }
        self.check_pace()?;
        let known = self.fetcher.as_ref().and_then(|fetcher| fetcher.size(source));
        if let Some(size_bytes) = known {
            return self.hand_out_scratch(source, size_bytes);
        }
        match self.sources.open(name) {
            Ok(Opened::Local(file)) => {
                self.child.channel.queue(&ToChild::Source(Ok(Opening::Whole)), Some(file))?;
                self.note_opened(source);
            }
            Ok(Opened::Remote(reader)) => self.measure(source, reader)?,
            Err(error) => self.refuse(source, &error)?,
        }
        Ok(())
    }

    pub(super) fn fetch(&mut self, run: Run) -> Result<(), End> {
        let name = self.name(run.source)?;
        if self.cancelled.is_some() {
            return Ok(());
        }
        self.check_pace()?;
        let fetcher = self.fetcher.as_mut().ok_or_else(|| protocol("it asked for blocks, and nothing is remote"))?;
        fetcher.check(&run).map_err(protocol)?;
        fetcher.fetch(run).map_err(|error| End::Task(failed(name, &error)))
    }

    /// Hands on what has been read since this was last called.
    pub(super) fn deliver(&mut self) -> Result<(), End> {
        while let Some(finished) = self.fetcher.as_mut().and_then(Fetcher::finished) {
            match finished {
                Finished::Measured { source, size: Ok(size_bytes), .. } => {
                    self.hand_out_scratch(source, size_bytes)?;
                }
                Finished::Measured { source, size: Err(error), .. } => self.refuse(source, &error)?,
                Finished::Fetched { run, result } => self.answer(run, result)?,
            }
        }
        Ok(())
    }

    fn name(&self, source: u32) -> Result<&'a str, End> {
        let name = self.task.input().sources.get(source as usize);
        Ok(name.ok_or_else(|| protocol(format!("it asked for source {source}, which its task doesn't have")))?)
    }

    /// A child that asks and takes no answers would fill our memory with them.
    fn check_pace(&self) -> Result<(), End> {
        if self.child.channel.is_backed_up() || self.fetcher.as_ref().is_some_and(Fetcher::is_measuring) {
            return Err(protocol("it asked for a source before it took the last"));
        }
        Ok(())
    }

    fn measure(&mut self, source: u32, reader: Arc<dyn RangeReader>) -> Result<(), End> {
        let name = self.name(source)?;
        let fetcher = match &mut self.fetcher {
            Some(fetcher) => fetcher,
            none => none.insert(Fetcher::new(self.scratch).map_err(|error| End::Task(failed(name, &error)))?),
        };
        fetcher.measure(source, reader).map_err(|error| End::Task(failed(name, &error)))
    }

    fn hand_out_scratch(&mut self, source: u32, size_bytes: u64) -> Result<(), End> {
        let Some(fetcher) = &self.fetcher else { return Err(protocol("nothing is remote")) };
        let scratch = fetcher.scratch().map_err(|error| End::Task(Error::Io(format!("the scratch file: {error}"))))?;
        self.child.channel.queue(&ToChild::Source(Ok(Opening::Remote { size_bytes })), Some(scratch))?;
        self.note_opened(source);
        Ok(())
    }

    fn refuse(&mut self, source: u32, error: &io::Error) -> Result<(), End> {
        let why = match failed(self.name(source)?, error) {
            // Its name is for the parent to say.
            Error::Unusable(_) => Error::Damaged { source_index: source, offset: 0, problem: reason(error) },
            other => other,
        };
        self.child.channel.queue(&ToChild::Source(Err(why)), None)?;
        self.note_opened(source);
        Ok(())
    }

    fn answer(&mut self, run: Run, result: io::Result<()>) -> Result<(), End> {
        let name = self.name(run.source)?;
        let result = result.map_err(|error| failed(name, &error));
        // Bytes that come in are movement, but only once.
        if result.is_ok() && self.fetcher.as_mut().is_some_and(|fetcher| fetcher.is_new(&run)) {
            self.moved = Instant::now();
        }
        Ok(self.child.channel.queue(&ToChild::Fetched { run, result }, None)?)
    }

    /// Only the first time is movement: else a child that goes in circles would seem to get somewhere.
    fn note_opened(&mut self, source: u32) {
        if self.opened.insert(source) {
            self.moved = Instant::now();
        }
    }
}

fn reason(error: &io::Error) -> String {
    error.to_string().chars().take(MAX_REASON_CHARS).collect()
}

/// What it means that a source can't be opened or read: one that isn't there, or isn't a file, will not be next time
/// either.
fn failed(name: &str, error: &io::Error) -> Error {
    use io::ErrorKind as K;
    let reason = format!("{name}: {}", reason(error));
    let is_permanent = matches!(error.kind(), K::NotFound | K::InvalidInput | K::NotADirectory | K::IsADirectory | K::PermissionDenied)
        // A symbolic link on the way, a way out of the library, a FIFO: openat2(2).
        || [Errno::LOOP, Errno::XDEV, Errno::NXIO].iter().any(|errno| Errno::from_io_error(error) == Some(*errno));
    if is_permanent { Error::Unusable(reason) } else { Error::Io(reason) }
}
