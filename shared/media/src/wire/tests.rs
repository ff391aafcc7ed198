//! Messages and files across a real socket pair.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    thread,
    time::Duration,
};

use rustix::event::PollFlags;

use super::{Channel, Fault, FromChild, MAX_BYTES, Message, Opening, ToChild};
use crate::{Error, Outcome, Progress, Thumbnail, time::WallTime};

fn channels() -> (Channel, Channel) {
    let (parent, child) = UnixStream::pair().unwrap();
    (Channel::of_parent(parent.into()), Channel::of_child(child.into()))
}

/// What a parent makes of these bytes from its child.
fn heard(bytes: &[u8]) -> Result<Option<FromChild>, Fault> {
    let (parent, mut child) = UnixStream::pair().unwrap();
    child.write_all(bytes).unwrap();
    Channel::of_parent(parent.into()).receive().map(|message| message.map(|(message, _)| message))
}

fn frame(body: &str) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes(), body.as_bytes()].concat()
}

fn picture(bytes: usize) -> FromChild {
    let thumbnail = Thumbnail { image: vec![255; bytes], width: 1, height: 1, at: WallTime::EPOCH };
    FromChild::Done(Ok(Outcome::Thumbnail(thumbnail)))
}

#[test]
fn files_arrive_with_their_messages() {
    let (mut parent, mut child) = channels();
    for text in ["one", "two"] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        parent.queue(&ToChild::Source(Ok(Opening::Whole)), Some(file)).unwrap();
        parent.queue(&ToChild::Source(Err(Error::Io("three".into()))), None).unwrap();
    }
    parent.flush().unwrap();
    for text in ["one", "two"] {
        let Some((ToChild::Source(Ok(Opening::Whole)), Some(mut file))) = child.receive().unwrap() else {
            panic!("no file")
        };
        let mut read = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
        assert!(matches!(child.receive().unwrap(), Some((ToChild::Source(Err(_)), None))));
    }
    assert!(child.receive::<ToChild<'_>>().unwrap().is_none());
}

#[test]
fn message_longer_than_the_socket_holds_arrives_whole() {
    let (mut parent, mut child) = channels();
    let sender = thread::spawn(move || {
        child.queue(&picture(3_000_000), None).unwrap();
        child.flush().unwrap();
        assert!(child.is_backed_up());
        while child.is_backed_up() {
            child.wait(PollFlags::OUT, None).unwrap();
            child.flush().unwrap();
        }
    });
    let message = loop {
        match parent.receive::<FromChild>().unwrap() {
            Some((message, _)) => break message,
            None => parent.wait(PollFlags::IN, Some(Duration::from_secs(20))).unwrap(),
        }
    };
    sender.join().unwrap();
    assert!(matches!(message, FromChild::Done(Ok(Outcome::Thumbnail(picture))) if picture.image.len() == 3_000_000));
}

#[test]
fn message_that_is_too_long_is_not_sent() {
    let (_parent, mut child) = channels();
    let failure = FromChild::Done(Err(Error::Internal("x".repeat(8 << 10))));
    for message in [picture(MAX_BYTES / 4), failure] {
        assert!(matches!(child.queue(&message, None), Err(Fault::Protocol(_))), "{}", message.max_bytes());
    }
    assert!(!child.is_backed_up());
}

#[test]
fn message_that_makes_no_sense_is_a_breach() {
    for (bytes, why) in [
        (frame("\"Cancel\""), "makes no sense"),
        (frame(""), "makes no sense"),
        (frame("{\"Open\":{\"source\":-1}}"), "makes no sense"),
        (frame("{\"Open\":{\"source\":0}}{}"), "makes no sense"),
        (frame(&format!("{{\"Progress\":{{\"x\":{}", "[".repeat(60_000))), "makes no sense"),
        (frame(&format!("{{\"Done\":{{\"Err\":{{\"Io\":\"{}\"}}}}}}", "x".repeat(9_000))), "of which 8192"),
        ((MAX_BYTES as u32 + 1).to_le_bytes().to_vec(), "of which 16777216"),
    ] {
        match heard(&bytes) {
            Err(Fault::Protocol(text)) => assert!(text.contains(why), "{text:?} doesn't say {why:?}"),
            other => panic!("{why}: {other:?}"),
        }
    }
}

#[test]
fn half_a_message_is_none_yet() {
    let whole = frame("{\"Open\":{\"source\":5}}");
    for length in 0..whole.len() {
        let (parent, mut child) = UnixStream::pair().unwrap();
        let mut parent = Channel::of_parent(parent.into());
        child.write_all(&whole[..length]).unwrap();
        assert!(parent.receive::<FromChild>().unwrap().is_none(), "{length} bytes");
        child.write_all(&whole[length..]).unwrap();
        assert!(matches!(parent.receive().unwrap(), Some((FromChild::Open { source: 5 }, None))));
    }
}

#[test]
fn parent_takes_no_files() {
    let (parent, child) = UnixStream::pair().unwrap();
    let mut parent = Channel::of_parent(OwnedFd::from(parent));
    let mut child = Channel::of_child(OwnedFd::from(child));
    child.queue(&FromChild::Progress(Progress::default()), None).unwrap();
    child.outbox[0].file = Some(File::open("/dev/null").unwrap());
    child.flush().unwrap();
    assert!(matches!(parent.receive::<FromChild>(), Err(Fault::Protocol(_))));
}

#[test]
fn what_was_sent_before_the_end_still_arrives() {
    let (mut parent, mut child) = channels();
    child.queue(&FromChild::Open { source: 1 }, None).unwrap();
    child.flush().unwrap();
    // Something that the child has not read makes the end a reset.
    parent.queue(&ToChild::Cancel, None).unwrap();
    parent.flush().unwrap();
    drop(child);
    assert!(matches!(parent.receive().unwrap(), Some((FromChild::Open { source: 1 }, None))));
    assert!(matches!(parent.receive::<FromChild>(), Err(Fault::Closed)));
    parent.queue(&ToChild::Cancel, None).unwrap();
    assert!(matches!(parent.flush(), Err(Fault::Closed)));
}
