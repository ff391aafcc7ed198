//! A store that fails: what passes off by itself is tried again, and what doesn't is an error, never half an object.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use storage::{Bucket, Storage};

use crate::{key, options, publish, s3};

/// What happens to requests of a method on the way, so many times.
#[derive(Clone)]
struct Fault {
    method: &'static str,
    times: Arc<AtomicUsize>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// The store is busy.
    Busy,
    /// The connection breaks off after so many bytes of the answer.
    Cut(u64),
}

/// A way to the test server on which things go wrong. It lasts as long as this program.
fn way(bucket: &s3::Bucket, method: &'static str, kind: Kind) -> (s3::Bucket, Fault) {
    let fault = Fault { method, times: Arc::default(), kind };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (store, shared) = (bucket.endpoint.clone(), fault.clone());
    thread::spawn(move || {
        for client in listener.incoming().map(Result::unwrap) {
            let (store, fault) = (store.clone(), shared.clone());
            // The client may go away at any time.
            thread::spawn(move || while matches!(fault.pass(&client, &store), Ok(ControlFlow::Continue(()))) {});
        }
    });
    (s3::Bucket { endpoint, ..bucket.clone() }, fault)
}

impl Fault {
    /// From now on, it happens so many times.
    fn arm(&self, times: usize) {
        self.times.store(times, Ordering::SeqCst);
    }

    /// Whether it happens now.
    fn happens(&self, head: &str) -> bool {
        let left = |times: usize| times.checked_sub(1);
        head.starts_with(self.method) && self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok()
    }

    fn is_worn_out(&self) -> bool {
        self.times.load(Ordering::SeqCst) == 0
    }

    /// Passes one request on, and its answer back.
    fn pass(&self, client: &TcpStream, store: &str) -> io::Result<ControlFlow<()>> {
        let mut reader = BufReader::new(client);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(ControlFlow::Break(()));
            }
        }
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = Vec::new();
        reader.take(length.unwrap_or(0)).read_to_end(&mut body)?;
        let cut = match self.happens(&head).then_some(self.kind) {
            Some(Kind::Busy) => {
                let mut client = client;
                client.write_all(b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n")?;
                return Ok(ControlFlow::Continue(()));
            }
            Some(Kind::Cut(bytes)) => bytes,
            None => u64::MAX,
        };
        let mut onward = TcpStream::connect(store.strip_prefix("http://").unwrap())?;
        let (request, fields) = head.split_once("\r\n").unwrap();
        onward.write_all(format!("{request}\r\nconnection: close\r\n{fields}").as_bytes())?;
        onward.write_all(&body)?;
        let mut client = client;
        io::copy(&mut onward.take(cut), &mut client)?;
        client.shutdown(Shutdown::Both)?;
        Ok(ControlFlow::Break(()))
    }
}

fn body() -> Vec<u8> {
    (0..20u32 << 20).map(|n| (n ^ (n >> 9) ^ (n >> 17)) as u8).collect()
}

#[test]
fn a_read_that_breaks_off_is_made_again() {
    let theirs = s3::Bucket::new();
    theirs.put("lib/clip.ts", &body()[..4 << 20]);
    let (through, fault) = way(&theirs, "GET", Kind::Cut(1_000_000));
    let bucket = Bucket::open(&through.location("lib"), &options(&through, "/nowhere".as_ref())).unwrap();
    let tag = bucket.head("clip.ts").unwrap().unwrap().etag;
    fault.arm(2);
    assert!(bucket.read("clip.ts", 100..3 << 20, &tag).unwrap() == body()[100..3 << 20]);
    assert!(fault.is_worn_out());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_busy_gets_the_object_later() {
    let (bucket, folder) = (s3::Bucket::new(), tempfile::tempdir().unwrap());
    for method in ["PUT", "POST"] {
        let (through, fault) = way(&bucket, method, Kind::Busy);
        let storage = Storage::open_with(&through.location(method), &options(&through, folder.path())).await.unwrap();
        fault.arm(2);
        let published = publish(&storage, "large.mp4", &body()).await.unwrap();
        assert!(fault.is_worn_out());
        assert_eq!(storage.head(&key("large.mp4")).await.unwrap(), Some(published));
        assert!(bucket.get(&format!("{method}/large.mp4")) == body());
    }
    assert_eq!(bucket.keys(), ["POST/large.mp4", "PUT/large.mp4"]);
    assert!(bucket.uploads().is_empty());
}

/// The store has done what it was asked, and nobody hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_asked_for_again() {
    let (bucket, folder) = (s3::Bucket::new(), tempfile::tempdir().unwrap());
    for (name, method, size) in [("small", "PUT", 1000), ("parts", "PUT", 20 << 20), ("end", "POST", 20 << 20)] {
        let (through, fault) = way(&bucket, method, Kind::Cut(0));
        let storage = Storage::open_with(&through.location(name), &options(&through, folder.path())).await.unwrap();
        fault.arm(1);
        let published = publish(&storage, "clip.ts", &body()[..size]).await;
        assert!(fault.is_worn_out());
        assert!(published.is_ok(), "{name}: {published:?}");
        assert!(bucket.get(&format!("{name}/clip.ts")) == body()[..size]);
    }
    assert_eq!(bucket.keys(), ["end/clip.ts", "parts/clip.ts", "small/clip.ts"]);
}
