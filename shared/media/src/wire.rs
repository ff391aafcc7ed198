//! Messages between a parent and its child over a socket pair: four bytes of length (little-endian), then JSON. Open
//! files ride along with the first byte of their message (SCM_RIGHTS, unix(7)).

use std::{
    borrow::Cow,
    collections::VecDeque,
    fs::File,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Error, Outcome, Progress, Task, sandbox::Sandbox};

/// Longest message of all: a task with many segments, an outcome with a picture in it.
const MAX_BYTES: usize = 16 << 20;
/// Longest message of any other kind. Errors are among them, and go on into logs and job rows.
const MAX_SMALL_BYTES: usize = 8 << 10;
const HEADER_BYTES: usize = 4;
const CHUNK_BYTES: usize = 64 << 10;

/// What a parent says to its child.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToChild<'a> {
    /// What to do; sent once. The output comes with it, if there is one.
    Task(Order<'a>),
    /// Answers `Open`: a file comes with it, or why the source couldn't be opened.
    Source(Result<Opening, Error>),
    /// Answers `Fetch`: the blocks are in their slots, or none of them is, for this reason.
    Fetched { run: Run, result: Result<(), Error> },
    /// The caller wants the work to stop.
    Cancel,
}

/// What the file is that comes with an opened source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Opening {
    /// The source itself.
    Whole,
    /// The task's scratch file, into which the parent puts what the child asks for of a source of this size.
    Remote { size_bytes: u64 },
}

/// Remote sources are fetched in blocks of this size, the last one as long as what is left.
pub(crate) const BLOCK_BYTES: u64 = 1 << 20;
/// Blocks that the scratch file has room for: what a task reads from afar takes no more of the disk than that.
pub(crate) const SLOTS: u32 = 128;
/// The longest run of blocks fetched at once.
pub(crate) const MAX_RUN: usize = 4;
/// Runs that may be on their way at once.
pub(crate) const MAX_FETCHES: usize = 4;

/// Blocks of a source that follow each other, and the slots of the scratch file that they are to be put into. The child
/// keeps the books of what is where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) source: u32,
    /// Number of the first block.
    pub(crate) block: u64,
    /// One for each block, `MAX_RUN` at most.
    pub(crate) slots: Vec<u32>,
}

/// A task and the terms that the kernel holds the child to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order<'a> {
    pub(crate) task: Cow<'a, Task>,
    pub(crate) has_output: bool,
    /// Address space on top of what the child has mapped before.
    pub(crate) address_space_bytes: u64,
    pub(crate) output_bytes: u64,
    pub(crate) cpu_seconds: u64,
    /// Whether to leave the processor to others first.
    pub(crate) background: bool,
}

/// What a child says to its parent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromChild {
    /// It is warm, its sandbox is closed, and it waits for a task; said once, before anything else.
    Ready(Sandbox),
    /// It needs a source, by number.
    Open { source: u32 },
    /// It needs blocks of a remote source that it has opened.
    Fetch(Run),
    /// How far it is.
    Progress(Progress),
    /// What the task came to; said last.
    Done(Result<Outcome, Error>),
}

/// A kind of message that a [`Channel`] carries.
pub(crate) trait Message: Serialize {
    /// Whether an open file comes with it.
    fn carries_file(&self) -> bool;

    /// How long it may be.
    fn max_bytes(&self) -> usize;
}

impl Message for ToChild<'_> {
    fn carries_file(&self) -> bool {
        match self {
            Self::Task(order) => order.has_output,
            Self::Source(answer) => answer.is_ok(),
            Self::Fetched { .. } | Self::Cancel => false,
        }
    }

    fn max_bytes(&self) -> usize {
        if matches!(self, Self::Task(_)) { MAX_BYTES } else { MAX_SMALL_BYTES }
    }
}

impl Message for FromChild {
    fn carries_file(&self) -> bool {
        false
    }

    fn max_bytes(&self) -> usize {
        if matches!(self, Self::Done(Ok(_))) { MAX_BYTES } else { MAX_SMALL_BYTES }
    }
}

/// Why a channel carries no more messages.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The other side has closed it, or is dead.
    #[error("the channel is closed")]
    Closed,
    /// The other side doesn't keep to the protocol.
    #[error("{0}")]
    Protocol(String),
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PIPE | Errno::CONNRESET => Self::Closed,
            other => Self::Protocol(format!("the channel failed: {other}")),
        }
    }
}

/// One end of the socket pair. Nothing but [`Channel::wait`] blocks.
pub(crate) struct Channel {
    socket: OwnedFd,
    inbox: Vec<u8>,
    /// Files that came in and whose message isn't complete yet.
    files: VecDeque<OwnedFd>,
    outbox: VecDeque<Parcel>,
    /// A child has nothing to hand to its parent: what it sends all the same never gets as far as our descriptor table.
    takes_files: bool,
}

/// An encoded message on its way out.
struct Parcel {
    bytes: Vec<u8>,
    sent: usize,
    file: Option<File>,
}

impl Channel {
    /// The parent's end of the pair.
    pub(crate) fn of_parent(socket: OwnedFd) -> Self {
        Self::new(socket, false)
    }

    /// The child's end of the pair.
    pub(crate) fn of_child(socket: OwnedFd) -> Self {
        Self::new(socket, true)
    }

    fn new(socket: OwnedFd, takes_files: bool) -> Self {
        Self { socket, inbox: Vec::new(), files: VecDeque::new(), outbox: VecDeque::new(), takes_files }
    }

    /// Puts a message in line; [`Channel::flush`] sends it. `file` is there if, and only if, the message carries one.
    ///
    /// # Errors
    /// `Fault::Protocol` if it is too long to be sent.
    pub(crate) fn queue(&mut self, message: &impl Message, file: Option<File>) -> Result<(), Fault> {
        debug_assert_eq!(message.carries_file(), file.is_some());
        let mut bytes = vec![0; HEADER_BYTES];
        serde_json::to_writer(&mut bytes, message).map_err(|error| Fault::Protocol(error.to_string()))?;
        let length = bytes.len() - HEADER_BYTES;
        if length > message.max_bytes() {
            return Err(too_long(length, message.max_bytes()));
        }
        bytes[..HEADER_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
        self.outbox.push_back(Parcel { bytes, sent: 0, file });
        Ok(())
    }

    /// Whether messages are in line that the other side has no room for yet.
    pub(crate) fn is_backed_up(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Sends what is in line, as far as it goes without waiting.
    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        while let Some(parcel) = self.outbox.front_mut() {
            match parcel.send(self.socket.as_fd()) {
                Ok(()) if parcel.sent == parcel.bytes.len() => drop(self.outbox.pop_front()),
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// The next message and the file that came with it, if one is there already.
    pub(crate) fn receive<M: Message + DeserializeOwned>(&mut self) -> Result<Option<(M, Option<File>)>, Fault> {
        loop {
            if let Some(message) = self.decode::<M>()? {
                let file = if message.carries_file() {
                    let file = self.files.pop_front();
                    Some(File::from(file.ok_or_else(|| Fault::Protocol("a message came without its file".into()))?))
                } else {
                    None
                };
                return Ok(Some((message, file)));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Waits for something to receive (`IN`) or for room to send (`OUT`), at most for `timeout`; for ever, if there is
    /// none.
    pub(crate) fn wait(&self, events: PollFlags, timeout: Option<Duration>) -> Result<(), Fault> {
        self.wait_or(events, None, timeout)
    }

    /// As [`Channel::wait`], but also wakes when `bell` can be read.
    pub(crate) fn wait_or(
        &self,
        events: PollFlags,
        bell: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
    ) -> Result<(), Fault> {
        let timeout = timeout.map(|timeout| Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 }));
        let socket = PollFd::new(&self.socket, events);
        let polled = match bell {
            Some(bell) => poll(&mut [socket, PollFd::from_borrowed_fd(bell, PollFlags::IN)], timeout.as_ref()),
            None => poll(&mut [socket], timeout.as_ref()),
        };
        match polled {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn decode<M: Message + DeserializeOwned>(&mut self) -> Result<Option<M>, Fault> {
        let Some((header, rest)) = self.inbox.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header) as usize;
        if length > MAX_BYTES {
            return Err(too_long(length, MAX_BYTES));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        // What is wrong with it stays untold: the parser quotes what it read.
        let message: M = serde_json::from_slice(body)
            .map_err(|_| Fault::Protocol(format!("a message of {length} bytes makes no sense")))?;
        if length > message.max_bytes() {
            return Err(too_long(length, message.max_bytes()));
        }
        self.inbox.drain(..HEADER_BYTES + length);
        Ok(Some(message))
    }

    /// Takes in what has come, up to a chunk. Returns whether there was anything.
    fn fill(&mut self) -> Result<bool, Fault> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(if self.takes_files { &mut space } else { &mut [] });
        let known = self.inbox.len();
        self.inbox.resize(known + CHUNK_BYTES, 0);
        let received = recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(&mut self.inbox[known..])],
            &mut control,
            RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC,
        );
        self.inbox.truncate(known + received.as_ref().map_or(0, |received| received.bytes));
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.files.extend(files);
            }
        }
        match received {
            Ok(received) if received.flags.contains(ReturnFlags::CTRUNC) => {
                Err(Fault::Protocol("more files came than there is room for".into()))
            }
            Ok(received) if received.bytes == 0 => Err(Fault::Closed),
            Ok(_) => Ok(true),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Parcel {
    fn send(&mut self, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let file = self.file.as_ref().map(|file| [file.as_fd()]);
        if let Some(file) = &file {
            control.push(SendAncillaryMessage::ScmRights(file));
        }
        let rest = [IoSlice::new(&self.bytes[self.sent..])];
        self.sent += sendmsg(socket, &rest, &mut control, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        // The file went with the first byte.
        self.file = None;
        Ok(())
    }
}

fn too_long(length: usize, limit: usize) -> Fault {
    Fault::Protocol(format!("a message of {length} bytes, of which {limit} are allowed"))
}

#[cfg(test)]
mod tests;
