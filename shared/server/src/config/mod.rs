//! What a service is told: flag over environment over file over default.

mod file;
mod value;

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Display,
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use clap::{Args, builder::BoolishValueParser};
use storage::S3Options;

pub use file::{Account, Archive, Export, Files, Jobs, Limits, Recordings, Zone};
pub use value::{DatabaseUrl, Location, Role, Secret};

use file::File;

/// The port of the first service, unless told otherwise.
const BASE_PORT: u16 = 50051;
/// How many services there are: each has its own place after the base port.
const SERVICES: u16 = 5;

/// The flags that `excerpt serve` and each service's own binary take. Each has an environment variable and a key in the
/// config file; a flag wins over the environment, that over the file, and that over the default.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// File with these settings and all others.
    #[arg(long, env = "EXCERPT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where recordings are: a folder, or s3://bucket/prefix [default: ./library].
    #[arg(long, env = "EXCERPT_LIBRARY", value_name = "PLACE")]
    pub library: Option<Location>,
    /// Folder for what the suite keeps [default: ./data].
    #[arg(long, env = "EXCERPT_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1].
    #[arg(long, env = "EXCERPT_LISTEN", value_name = "IP", value_parser = value::listen)]
    pub listen: Option<IpAddr>,
    /// Port of the first service; the others follow in order. 0: any free ones [default: 50051].
    #[arg(long, env = "EXCERPT_BASE_PORT", value_name = "PORT")]
    pub base_port: Option<u16>,
    /// What this process does: answer requests, work on jobs, or both [default: all].
    #[arg(long, env = "EXCERPT_ROLE")]
    pub role: Option<Role>,
    /// Where jobs are kept: sqlite://file or postgres://… [default: sqlite://<data>/excerpt.db].
    #[arg(long, env = "EXCERPT_DATABASE", value_name = "URL", hide_env_values = true)]
    pub database: Option<Secret>,
    /// Where results are kept: a folder, or s3://bucket/prefix [default: <data>/objects].
    #[arg(long, env = "EXCERPT_STORAGE", value_name = "PLACE")]
    pub storage: Option<Location>,
    /// Listen on an address that others can reach without any account configured: everybody may do everything.
    #[arg(long, env = "EXCERPT_INSECURE", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_name = "BOOL", value_parser = BoolishValueParser::new())]
    pub insecure: Option<bool>,
}

/// All settings, checked. No secret shows in its `Debug` form.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where recordings are.
    pub library: Location,
    /// Folder for what the suite keeps: the database and the storage, unless they are elsewhere, and secrets of its own.
    pub data: PathBuf,
    /// Address to listen on.
    pub listen: IpAddr,
    /// Port of the first service; 0: any free ones.
    pub base_port: u16,
    /// What this process does.
    pub role: Role,
    /// Where jobs are kept.
    pub database: DatabaseUrl,
    /// Where results are kept.
    pub storage: Location,
    /// Whether everything may be open to others than this machine.
    pub insecure: bool,
    /// Tenants. None: everything is open, and everything belongs to one owner, `local`.
    pub accounts: Vec<Account>,
    /// Routes and names of archive export.
    pub archive: Archive,
    /// Live sources by endpoint id; their URLs may carry passwords.
    pub live: BTreeMap<String, Secret>,
    /// Push zones of DVR export by id.
    pub zones: BTreeMap<String, Zone>,
    /// How recordings are named.
    pub recordings: Recordings,
    /// How much is served at once.
    pub limits: Limits,
    /// How many jobs wait and run.
    pub jobs: Jobs,
    /// What exports may be and how long they are kept.
    pub export: Export,
    /// URLs of results.
    pub files: Files,
}

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("config file {file:?} can't be read: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something in the file isn't what it should be.
    #[error("config file {file:?}, {place}: {reason}")]
    File {
        /// The file.
        file: PathBuf,
        /// The line or the key.
        place: String,
        /// What is wrong there. It repeats no secret.
        reason: String,
    },
    /// Everything is open, and should be so to others than this machine.
    #[error(
        "no accounts are configured, so everything is open, and --listen {0} would open it to other machines: add \
         [[accounts]] to the config file, or listen on 127.0.0.1, or insist with --insecure"
    )]
    Open(IpAddr),
    /// `--database` isn't one.
    #[error("--database: {0}")]
    Database(String),
    /// There aren't enough ports after the base port.
    #[error("--base-port {0} is too high: the {SERVICES} services take it and the ports after it, up to 65535")]
    BasePort(u16),
}

impl Config {
    /// How buckets are reached: as the environment says, with what is being written kept under the data folder.
    pub fn s3(&self) -> S3Options {
        S3Options { scratch: self.data.join("staging"), ..S3Options::default() }
    }

    /// Reads the config file, if one is named, and settles each setting.
    ///
    /// # Errors
    /// Names the file, the line or key, and what is wrong.
    pub fn load(args: ServeArgs) -> Result<Self, ConfigError> {
        let file = args.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let data = args.data.or(file.data).unwrap_or_else(|| "data".into());
        // Not parsed with the other flags: their errors repeat the value, and this one may carry a password.
        let database = args.database.map(|url| url.expose().parse()).transpose().map_err(ConfigError::Database)?;
        let default_place = |name: &str| data.join(name).to_string_lossy().into_owned();
        let config = Self {
            library: args.library.or(file.library).unwrap_or_else(|| Location::folder("library")),
            listen: args.listen.or(file.listen).unwrap_or(Ipv4Addr::LOCALHOST.into()),
            base_port: args.base_port.or(file.base_port).unwrap_or(BASE_PORT),
            role: args.role.or(file.role).unwrap_or_default(),
            database: (database.or(file.database)).unwrap_or_else(|| DatabaseUrl::sqlite(&default_place("excerpt.db"))),
            storage: args.storage.or(file.storage).unwrap_or_else(|| Location::folder(&default_place("objects"))),
            insecure: args.insecure.or(file.insecure).unwrap_or(false),
            data,
            accounts: file.accounts,
            archive: file.archive,
            live: file.live,
            zones: file.zones,
            recordings: file.recordings,
            limits: file.limits,
            jobs: file.jobs,
            export: file.export,
            files: file.files,
        };
        config.check()?;
        Ok(config)
    }

    /// Whether anybody may do anything.
    pub fn is_open(&self) -> bool {
        self.accounts.is_empty()
    }

    /// The port of the service at `place` (0 to 4, in the order of the design's table); 0: any free one.
    pub fn port(&self, place: u16) -> u16 {
        if self.base_port == 0 { 0 } else { self.base_port.saturating_add(place) }
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.is_open() && !self.insecure && !self.listen.to_canonical().is_loopback() {
            return Err(ConfigError::Open(self.listen));
        }
        if self.base_port.checked_add(SERVICES - 1).is_none() {
            return Err(ConfigError::BasePort(self.base_port));
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { file: path.to_owned(), source })?;
    // The error's own text would quote the line, and with it a password.
    let file: File = toml::from_str(&text).map_err(|e| {
        let place = e.span().map_or_else(|| "somewhere".to_owned(), |span| line(&text, span.start));
        wrong(path, place, e.message())
    })?;
    check_accounts(path, &file.accounts)?;
    Ok(file)
}

/// Checks what no single account shows: ids, users and keys that two of them have.
fn check_accounts(path: &Path, accounts: &[Account]) -> Result<(), ConfigError> {
    let (mut ids, mut keys, mut users) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (n, account) in accounts.iter().enumerate() {
        let refuse = |reason: &str| Err(wrong(path, format!("accounts[{n}] ({})", account.id), reason));
        if !ids.insert(account.id.as_str()) {
            return refuse("another account has this id");
        }
        if account.api_keys.is_empty() && account.user.is_none() {
            return refuse("it has neither api_keys nor user and password, so nobody could use it");
        }
        if account.user.is_some() != account.password.is_some() {
            return refuse("user and password go together");
        }
        if account.user.as_ref().is_some_and(|user| user.is_empty() || user.contains(':')) {
            return refuse("user is empty or contains a colon, which HTTP Basic can't carry");
        }
        if account.user.as_ref().is_some_and(|user| !users.insert(user.as_str())) {
            return refuse("another account has this user");
        }
        for key in &account.api_keys {
            if key.expose().is_empty() {
                return refuse("one of its api_keys is empty");
            }
            if !keys.insert(key.expose()) {
                return refuse("one of its api_keys is given twice");
            }
        }
    }
    Ok(())
}

fn wrong(path: &Path, place: impl Into<String>, reason: impl Display) -> ConfigError {
    ConfigError::File { file: path.to_owned(), place: place.into(), reason: reason.to_string() }
}

/// Names the line at `offset` and, without its value, the key on it.
fn line(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default();
    match line.split_once('=') {
        Some((key, _)) => format!("line {number} ({})", key.trim()),
        None => format!("line {number}"),
    }
}
