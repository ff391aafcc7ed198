//! A real S3 server (moto) for tests, one for each test program; each test makes a bucket of its own. Spoken to over plain
//! HTTP here, so that what the suite's client wrote is read by another reader, and the other way round.
//!
//! Needs nothing but `std`: other crates' tests include this file by its path.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The server wants to know who asks, and believes whatever it is told.
const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// A running server. It ends when this process does: then its standard input is closed.
struct Server {
    _process: Child,
    url: String,
}

/// A bucket of the test server, empty at first.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Where the server is: `http://127.0.0.1:` and its port.
    pub endpoint: String,
    /// Its name.
    pub name: String,
}

impl Bucket {
    /// Makes a bucket, and starts the server if there is none yet.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let endpoint = SERVER.get_or_init(start).url.clone();
        let bucket = Self { endpoint, name: format!("bucket-{}", COUNT.fetch_add(1, Ordering::Relaxed)) };
        bucket.request("PUT", "", &[]);
        bucket
    }

    /// Where the suite finds it.
    pub fn location(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", self.name)
    }

    /// The settings that lead the suite's client here.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }

    /// Puts an object there.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.request("PUT", &format!("/{key}"), bytes);
    }

    /// The bytes of an object, which is there.
    pub fn get(&self, key: &str) -> Vec<u8> {
        self.request("GET", &format!("/{key}"), &[])
    }

    /// Puts everything there that is in a folder.
    pub fn put_folder(&self, prefix: &str, folder: &Path) {
        for entry in std::fs::read_dir(folder).expect("a folder can be read").map(|entry| entry.expect("so can this")) {
            let key = format!("{prefix}/{}", entry.file_name().to_str().expect("plain names"));
            match entry.file_type().expect("it is there").is_dir() {
                true => self.put_folder(&key, &entry.path()),
                false => self.put(&key, &std::fs::read(entry.path()).expect("it can be read")),
            }
        }
    }

    /// The keys of all objects, in order.
    pub fn keys(&self) -> Vec<String> {
        self.elements("?list-type=2", "Key")
    }

    /// The keys of all uploads that have begun and not ended.
    pub fn uploads(&self) -> Vec<String> {
        self.elements("?uploads", "Key")
    }

    fn elements(&self, query: &str, name: &str) -> Vec<String> {
        let answer = String::from_utf8(self.request("GET", query, &[])).expect("XML is text");
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        answer.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned())).collect()
    }

    fn request(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let address = self.endpoint.strip_prefix("http://").expect("its address is one");
        let mut socket = TcpStream::connect(address).expect("the server is there");
        let length = body.len();
        let head = format!(
            "{method} /{}{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: {SIGNED}\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n",
            self.name
        );
        socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body)).expect("the server listens");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("the server answers");
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} /{}{path}: {head}", self.name);
        answer.split_off(end + 4)
    }
}

fn start() -> Server {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|folder| folder.join("tests/tools/s3/server.py").is_file())
        .expect("this crate is in the workspace");
    let mut process = Command::new(root.join(".tools/s3/bin/python"))
        .arg(root.join("tests/tools/s3/server.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the S3 server for tests is installed by `make setup`");
    let mut url = String::new();
    let said = BufReader::new(process.stdout.take().expect("piped")).read_line(&mut url);
    said.expect("the S3 server says where it is");
    Server { _process: process, url: url.trim().to_owned() }
}
