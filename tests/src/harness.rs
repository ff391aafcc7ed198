//! A server of one's own: the real `excerpt serve`, on a free port, with a library and a data folder that nobody else has.
//! It is killed when it is dropped, and none of its media processes may outlive it.

mod curl;
mod export;
mod processes;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

pub use curl::Reply;
pub use export::{Client, Key, at, is_final, lasting, spec, state};
pub use processes::{Process, media_processes};

use crate::{fixtures, s3::Bucket};

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);
/// How long something may take that is said to happen at once.
pub const SOON: Duration = Duration::from_secs(10);

/// What a server is to be started with.
#[derive(Debug)]
pub struct Setup {
    folder: TempDir,
    library: PathBuf,
    bucket: Option<Bucket>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// The sample recordings as the library, and nothing configured.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("excerpt-").tempdir().expect("the system has a folder for such");
        fs::write(folder.path().join("excerpt.toml"), "").expect("a new folder can be written to");
        Self { folder, library: fixtures::dir().to_owned(), bucket: None }
    }

    /// With the recordings in this folder.
    pub fn in_library(library: PathBuf) -> Self {
        Self { library, ..Self::new() }
    }

    /// With the recordings that are below `library` in a bucket, and its results below `results`.
    pub fn in_bucket(bucket: &Bucket) -> Self {
        Self { bucket: Some(bucket.clone()), ..Self::in_library(bucket.location("library").into()) }
    }

    /// With an empty library of its own: see [`Server::library`].
    pub fn own_library(mut self) -> Self {
        self.library = self.folder.path().join("library");
        fs::create_dir(&self.library).expect("a new folder can be written to");
        self
    }

    /// With this config file.
    pub fn config(self, toml: &str) -> Self {
        fs::write(self.folder.path().join("excerpt.toml"), toml).expect("a new folder can be written to");
        self
    }

    /// Starts it, and waits until it is healthy.
    pub async fn start(self) -> Server {
        let (process, url) = launch(&self, 0).await;
        let server = Server { setup: self, process, url };
        server.becomes_healthy().await;
        server
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    process: Child,
    /// Where it is: `http://127.0.0.1:` and its port.
    pub url: String,
}

impl Server {
    /// One with the sample recordings, and nothing configured.
    pub async fn start() -> Self {
        Setup::new().start().await
    }

    /// The folder of its recordings.
    pub fn library(&self) -> &Path {
        &self.setup.library
    }

    /// A new folder for files of the test's own, which goes away with the server.
    pub fn scratch(&self) -> PathBuf {
        let folder = tempfile::Builder::new().prefix("scratch-").tempdir_in(self.setup.folder.path());
        folder.expect("a new folder can be written to").keep()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        log(&self.setup)
    }

    /// Everything that lies in its storage, relative to it, whether visible or not.
    pub fn stored(&self) -> Vec<PathBuf> {
        let root = self.setup.folder.path().join("data/objects");
        let mut files = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            // A folder may vanish while it is looked at.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    true => folders.push(entry.path()),
                    false => files.extend(entry.path().strip_prefix(&root).map(Path::to_owned)),
                }
            }
        }
        files.sort();
        files
    }

    /// Its process.
    pub fn process(&self) -> Process {
        Process::of_child(&self.process)
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Whether it answers health checks, and well.
    pub async fn is_healthy(&self) -> bool {
        let endpoint = Endpoint::from_shared(self.url.clone()).expect("the server's address is one");
        let answer = HealthClient::new(endpoint.connect_lazy()).check(HealthCheckRequest::default()).await;
        answer.is_ok_and(|answer| answer.get_ref().status() == ServingStatus::Serving)
    }

    /// Ends it as a power cut would.
    pub async fn kill(&mut self) {
        self.process.kill().expect("it is a child of ours");
        self.ended(SOON).await;
    }

    /// Asks it to end, as an operator would, and says how long that took.
    pub async fn terminate(&mut self) -> Duration {
        let start = Instant::now();
        kill_process(Pid::from_child(&self.process), Signal::TERM).expect("it is a child of ours");
        self.ended(START).await;
        start.elapsed()
    }

    /// Starts it again after it has ended: with the same data, on the same port.
    pub async fn start_again(&mut self) {
        let port = self.url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("its address has a port");
        (self.process, self.url) = launch(&self.setup, port).await;
        self.becomes_healthy().await;
    }

    async fn ended(&mut self, limit: Duration) {
        let process = &mut self.process;
        let ended = eventually(limit, async || process.try_wait().expect("it is a child of ours").is_some()).await;
        assert!(ended, "the server still runs after {limit:?}");
    }

    async fn becomes_healthy(&self) {
        let healthy = eventually(START, async || self.is_healthy().await).await;
        assert!(healthy, "the server does not become healthy:\n{}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let parent = self.process();
        let children = parent.children();
        // Both fail if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the server said:\n{}", self.log());
            return;
        }
        // The kernel kills them with their parent, which takes it a moment.
        let deadline = Instant::now() + SOON;
        while children.iter().any(Process::is_alive) {
            assert!(Instant::now() < deadline, "of the server {parent:?}, media processes are left: {children:?}");
            std::thread::yield_now();
        }
    }
}

/// Asks until the answer is yes, or the time is up.
pub async fn eventually(limit: Duration, mut question: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if question().await {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The `excerpt` command, as built beside this program.
pub fn excerpt() -> PathBuf {
    let this = std::env::current_exe().expect("a program knows where it is");
    // target/<profile>/deps/<test>, or target/<profile>/<program>.
    let found = this.ancestors().skip(1).take(2).map(|folder| folder.join("excerpt")).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("there is no `excerpt` beside {}: run `cargo build --workspace` first", this.display())
    })
}

/// Starts the server, and waits until it says where it is.
async fn launch(setup: &Setup, port: u16) -> (Child, String) {
    let folder = setup.folder.path();
    let said = folder.join("addresses");
    let mut command = Command::new(excerpt());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"EXCERPT_")) {
        command.env_remove(name);
    }
    command.args(["serve", "--services", "export", "--base-port", &port.to_string()]);
    command.arg("--library").arg(&setup.library).arg("--data").arg(folder.join("data"));
    command.arg("--config").arg(folder.join("excerpt.toml"));
    if let Some(bucket) = &setup.bucket {
        command.args(["--storage", &bucket.location("results")]).envs(bucket.environment());
    }
    let errors =
        File::options().create(true).append(true).open(folder.join("log")).expect("a new folder can be written to");
    let addresses = File::create(&said).expect("a new folder can be written to");
    command.stdin(Stdio::null()).stdout(addresses).stderr(errors);
    let mut process = command.spawn().expect("the command was found");
    let mut url = None;
    eventually(START, async || {
        let text = fs::read_to_string(&said).unwrap_or_default();
        let address = text.split_once('\n').and_then(|(line, _)| line.strip_prefix("export-service "));
        url = address.map(str::to_owned);
        url.is_some() || process.try_wait().is_ok_and(|status| status.is_some())
    })
    .await;
    let url = url.unwrap_or_else(|| {
        // It may have ended already.
        let _ = process.kill();
        panic!("the server does not start:\n{}", log(setup))
    });
    (process, url)
}

fn log(setup: &Setup) -> String {
    fs::read_to_string(setup.folder.path().join("log")).unwrap_or_default()
}
