//! The config file, table by table. An unknown key is an error, not a surprise later.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    thread::available_parallelism,
    time::Duration,
};

use serde::Deserialize;

use super::value::{DatabaseUrl, Location, Role, Secret, base_url, hex_id, optional_hex_id, optional_listen, secrets};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) library: Option<Location>,
    pub(super) data: Option<PathBuf>,
    #[serde(deserialize_with = "optional_listen")]
    pub(super) listen: Option<IpAddr>,
    #[serde(alias = "base-port")]
    pub(super) base_port: Option<u16>,
    pub(super) role: Option<Role>,
    pub(super) database: Option<DatabaseUrl>,
    pub(super) storage: Option<Location>,
    pub(super) insecure: Option<bool>,
    pub(super) accounts: Vec<Account>,
    pub(super) archive: Archive,
    pub(super) live: BTreeMap<String, Secret>,
    pub(super) zones: BTreeMap<String, Zone>,
    pub(super) recordings: Recordings,
    pub(super) limits: Limits,
    pub(super) jobs: Jobs,
    pub(super) export: Export,
    pub(super) files: Files,
}

/// `[[accounts]]`: a tenant.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// 32 hex digits, in lower case; the owner of what this account makes.
    #[serde(deserialize_with = "hex_id")]
    pub id: String,
    /// Any of them is accepted. Two, for a while, change a key without a gap.
    #[serde(default, deserialize_with = "secrets")]
    pub api_keys: Vec<Secret>,
    /// Name for HTTP Basic.
    pub user: Option<String>,
    /// Password for HTTP Basic.
    pub password: Option<Secret>,
}

/// `[archive]`: archive export.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Archive {
    /// Prefix of the path of its routes.
    pub prefix: String,
    /// The archive that is used when none is named.
    pub default: String,
}

impl Default for Archive {
    fn default() -> Self {
        Self { prefix: String::new(), default: "default".to_owned() }
    }
}

/// `[zones.<id>]`: a push zone of DVR export.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// The account that may use it; absent: any.
    #[serde(default, deserialize_with = "optional_hex_id")]
    pub owner: Option<String>,
    /// Where it puts things.
    pub storage: Location,
}

/// `[recordings]`: how recordings are named.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recordings {
    /// Names of time-stamped files, without their extension.
    pub file_pattern: String,
    /// IANA name of the time zone of those names; absent: UTC.
    pub time_zone: Option<String>,
}

impl Default for Recordings {
    fn default() -> Self {
        Self { file_pattern: "%Y-%m-%d_%H-%M-%S-%f".to_owned(), time_zone: None }
    }
}

/// `[limits]`: how much each service serves at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections; more are closed at once. Default 1024.
    pub connections: NonZeroU32,
    /// Streams in each HTTP/2 connection. Default 100.
    pub streams_per_connection: NonZeroU32,
    /// Requests being answered, not counting what is streamed after. More are refused. Default 512.
    pub requests: NonZeroU32,
    /// Streams that watch jobs, for each account. Default 32.
    pub watches_per_account: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: non_zero(1024),
            streams_per_connection: non_zero(100),
            requests: non_zero(512),
            watches_per_account: non_zero(32),
        }
    }
}

/// `[jobs]`: how many wait and run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jobs {
    /// Jobs that only copy, running at once. Default: one for each core, at least 2.
    pub copy: NonZeroU32,
    /// Jobs that encode, running at once. Default: one for every two cores, at least 1.
    pub encode: NonZeroU32,
    /// Of them, for each account. Default: no limit of its own.
    pub running_per_account: Option<NonZeroU32>,
    /// Jobs that wait. More are refused. Default 1000.
    pub queued: NonZeroU32,
    /// Of them, for each account. Default 500.
    pub queued_per_account: NonZeroU32,
}

impl Default for Jobs {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
        Self {
            copy: non_zero(cores.max(2)),
            encode: non_zero((cores / 2).max(1)),
            running_per_account: None,
            queued: non_zero(1000),
            queued_per_account: non_zero(500),
        }
    }
}

/// `[export]`: what exports may be, and how long they are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Export {
    /// The longest clip, in hours. Default 24.
    pub max_hours: NonZeroU16,
    /// Days until an ended export is erased, and its file with it. Default 7.
    pub keep_days: NonZeroU16,
}

impl Export {
    /// The longest clip.
    pub fn max_duration(&self) -> Duration {
        Duration::from_secs(u64::from(self.max_hours.get()) * 3600)
    }

    /// How long an ended export is kept.
    pub fn keep(&self) -> Duration {
        Duration::from_secs(u64::from(self.keep_days.get()) * 24 * 3600)
    }
}

impl Default for Export {
    fn default() -> Self {
        Self { max_hours: NonZeroU16::MIN.saturating_add(23), keep_days: NonZeroU16::MIN.saturating_add(6) }
    }
}

/// `[files]`: the URLs of results.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Files {
    /// What others reach this service by, `https://clips.example.com`; absent: as each request named it. With several
    /// services behind one name, give each a path of its own.
    #[serde(deserialize_with = "base_url")]
    pub public_url: Option<String>,
    /// Minutes that a signed URL is good for, at most 7 days. Default 15.
    pub url_minutes: UrlMinutes,
    /// File with the secret that signs them, made when missing; processes that answer for one another share it. Default:
    /// `url-secret` in the data folder.
    pub secret_file: Option<PathBuf>,
}

impl Default for Files {
    fn default() -> Self {
        Self { public_url: None, url_minutes: UrlMinutes(non_zero(15)), secret_file: None }
    }
}

/// The life of a URL: 1 minute to 7 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NonZeroU32")]
pub struct UrlMinutes(NonZeroU32);

impl UrlMinutes {
    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0.get()) * 60)
    }
}

impl TryFrom<NonZeroU32> for UrlMinutes {
    type Error = String;

    fn try_from(minutes: NonZeroU32) -> Result<Self, String> {
        if minutes.get() > 7 * 24 * 60 {
            return Err(format!("{minutes} minutes are more than 7 days, the longest that a URL may be good for"));
        }
        Ok(Self(minutes))
    }
}

/// `value`, which is a default of ours and not 0.
fn non_zero(value: u32) -> NonZeroU32 {
    NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN)
}
