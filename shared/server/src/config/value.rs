//! Single settings: each is checked where it is read, whether from a flag, the environment or the file.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use clap::ValueEnum;
use http::Uri;
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Value;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answer requests and work on jobs.
    #[default]
    All,
    /// Answer requests only.
    Api,
    /// Work on jobs only; health and metrics are served.
    Worker,
}

impl Role {
    /// Whether it answers requests.
    pub fn serves(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    /// Whether it works on jobs.
    pub fn works(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }
}

/// Text that must not show up in logs, errors or `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(secret) => Ok(Self(secret)),
            // Serde's own message would quote the value.
            _ => Err(D::Error::custom("it must be text in quotes")),
        }
    }
}

/// A list of secrets.
pub(super) fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Secret>, D::Error> {
    let wrong = || D::Error::custom("it must be a list of texts in quotes");
    let Value::Array(values) = Value::deserialize(deserializer)? else { return Err(wrong()) };
    values
        .into_iter()
        .map(|value| match value {
            Value::String(secret) => Ok(Secret(secret)),
            _ => Err(wrong()),
        })
        .collect()
}

/// 32 hex digits, returned in lower case.
pub(super) fn hex_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(D::Error::custom(format!("{id:?} is not an account id: 32 hex digits")));
    }
    Ok(id.to_ascii_lowercase())
}

pub(super) fn optional_hex_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    hex_id(deserializer).map(Some)
}

/// The beginning of a URL, without a slash at its end.
pub(super) fn base_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let url = String::deserialize(deserializer)?;
    let wrong =
        || D::Error::custom(format!("{url:?} is not the beginning of a URL, such as https://clips.example.com"));
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    if !is_http || uri.query().is_some() || uri.authority().is_none_or(|a| a.as_str().contains('@')) {
        return Err(wrong());
    }
    Ok(Some(url.trim_end_matches('/').to_owned()))
}

/// An address to listen on.
pub(super) fn listen(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    address.parse().map_err(|_| {
        format!("{text:?} is not an IP address to listen on, such as 127.0.0.1; the port is said by --base-port")
    })
}

pub(super) fn optional_listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    listen(&String::deserialize(deserializer)?).map(Some).map_err(D::Error::custom)
}

/// A folder, or `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Location(String);

impl Location {
    pub(super) fn folder(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if text.is_empty() || text.contains('\0') || scheme.is_some_and(|scheme| scheme != "s3") || text == "s3://" {
            return Err(format!("{text:?} is neither a folder nor s3://bucket/prefix"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Location {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where jobs are kept. It may carry a password, so it shows no more than its kind.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    pub(super) fn sqlite(path: &str) -> Self {
        Self(format!("sqlite://{path}"))
    }

    /// The URL itself: `sqlite://…`, `postgres://…` or `postgresql://…`.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://<secret>", self.0.split_once("://").map_or("", |(scheme, _)| scheme))
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("sqlite" | "postgres" | "postgresql", rest)) if !rest.is_empty() => Ok(Self(text.to_owned())),
            _ => Err("a database is given as sqlite://file or postgres://…".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Secret::deserialize(deserializer)?.expose().parse().map_err(D::Error::custom)
    }
}
