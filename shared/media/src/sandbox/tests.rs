//! What can and what can't be done in the sandbox.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::AsFd,
        unix::{
            fs::{FileExt, PermissionsExt},
            net::UnixStream,
        },
    },
    process::Command,
    thread,
};

use rustix::{
    fs::{MemfdFlags, Mode, OFlags, memfd_create},
    io::Errno,
    net::{RecvFlags, SendFlags},
    process::{DumpableBehavior, Pid, PidfdFlags, Resource, Rlimit, Signal},
};

use super::{Sandbox, close};

/// Runs `inside` on a thread of its own with the sandbox closed around it, and so around nothing else here.
fn in_sandbox(channel: &UnixStream, inside: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let outcome = scope.spawn(|| {
            let sandbox = close(channel.as_fd()).expect("the sandbox closes");
            assert!(matches!(sandbox, Sandbox::Full | Sandbox::Partial(_)));
            inside();
        });
        if let Err(panic) = outcome.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn is_refused<T, E: Into<io::Error>>(result: Result<T, E>) -> bool {
    result.map_err(Into::into).is_err_and(|error| matches!(error.kind(), io::ErrorKind::PermissionDenied))
}

#[test]
fn nothing_can_be_reached_from_inside() {
    let (channel, peer) = UnixStream::pair().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let opened_folder = File::open(folder.path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let parent = rustix::process::getppid().unwrap();
    let limits = Rlimit { current: None, maximum: None };
    in_sandbox(&channel, || {
        let escapes = [
            ("open a system file", is_refused(File::open("/etc/passwd"))),
            ("open its environment", is_refused(File::open("/proc/self/environ"))),
            ("open its memory", is_refused(File::options().write(true).open("/proc/self/mem"))),
            ("open a file below an open folder", {
                is_refused(rustix::fs::openat(&opened_folder, "file", OFlags::RDONLY, Mode::empty()))
            }),
            ("create a file", is_refused(File::create(folder.path().join("other")))),
            ("list a folder", is_refused(fs::read_dir("/"))),
            ("ask whether a file exists", is_refused(fs::metadata(&file))),
            ("read a link", is_refused(fs::read_link("/proc/self/exe"))),
            ("remove a file", is_refused(fs::remove_file(&file))),
            ("rename a file", is_refused(fs::rename(&file, folder.path().join("other")))),
            ("link a file", is_refused(fs::hard_link(&file, folder.path().join("other")))),
            ("make a folder", is_refused(fs::create_dir(folder.path().join("other")))),
            ("change who may read a file", is_refused(fs::set_permissions(&file, fs::Permissions::from_mode(0o777)))),
            ("change the folder", is_refused(std::env::set_current_dir("/"))),
            ("connect to a service", is_refused(TcpStream::connect(address))),
            ("accept a connection", is_refused(listener.accept())),
            ("make a UDP socket", is_refused(UdpSocket::bind("127.0.0.1:0"))),
            ("make a socket pair", is_refused(UnixStream::pair())),
            ("send on another socket", is_refused(rustix::net::send(&peer, b"x", SendFlags::empty()))),
            ("make a pipe", is_refused(io::pipe())),
            ("hide memory in a file", is_refused(memfd_create("x", MemfdFlags::empty()))),
            ("start a program", is_refused(Command::new("/bin/true").spawn())),
            ("signal its parent", is_refused(rustix::process::test_kill_process(parent))),
            ("signal everybody", is_refused(rustix::process::kill_process(Pid::INIT, Signal::URG))),
            ("trace its parent", is_refused(nix::sys::ptrace::attach(nix::unistd::getppid()))),
            ("watch its parent", is_refused(rustix::process::pidfd_open(parent, PidfdFlags::empty()))),
            ("limit its parent", is_refused(rustix::process::prlimit(Some(parent), Resource::Core, limits))),
            ("slow its parent down", { is_refused(rustix::process::setpriority_user(rustix::process::Uid::ROOT, 19)) }),
            ("be dumped", is_refused(rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable))),
            ("outlive its parent", is_refused(rustix::process::set_parent_process_death_signal(None))),
            ("leave its process group", is_refused(rustix::process::setsid())),
        ];
        for (escape, refused) in escapes {
            assert!(refused, "a child can {escape}");
        }
    });
}

#[test]
fn work_can_be_done_inside() {
    let (channel, peer) = UnixStream::pair().unwrap();
    let (mut source, mut output) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    source.write_all(&[7; 100_000]).unwrap();
    source.rewind().unwrap();
    (&peer).write_all(b"note").unwrap();
    in_sandbox(&channel, || {
        assert_eq!(rustix::fs::fstat(&source).unwrap().st_size, 100_000);
        let memory = vec![1_u8; 64 << 20];
        let sum: u64 = thread::scope(|scope| {
            let parts = memory
                .chunks(16 << 20)
                .map(|part| scope.spawn(|| part.iter().map(|byte| u64::from(*byte)).sum::<u64>()));
            parts.collect::<Vec<_>>().into_iter().map(|part| part.join().unwrap()).sum()
        });
        assert_eq!(sum, 64 << 20);
        assert_eq!(io::copy(&mut source, &mut output).unwrap(), 100_000);
        output.write_all_at(b"index", 0).unwrap();
        output.set_len(50_000).unwrap();
        output.sync_all().unwrap();
        let mut copy = output.try_clone().unwrap();
        let mut bytes = Vec::new();
        copy.rewind().unwrap();
        copy.read_to_end(&mut bytes).unwrap();
        assert_eq!((bytes.len(), &bytes[..6]), (50_000, &b"index\x07"[..]));
        let mut note = [0; 4];
        let received = rustix::net::recvmsg(
            &channel,
            &mut [io::IoSliceMut::new(&mut note)],
            &mut Default::default(),
            RecvFlags::empty(),
        );
        assert_eq!((received.map(|received| received.bytes), &note), (Ok::<_, Errno>(4), b"note"));
    });
}
