//! HTTP, by the `curl` command: what a client really sends, and really gets.

use std::{collections::BTreeMap, process::Stdio};

use serde_json::Value;
use tokio::process::Command;

use super::Server;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body, which is JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}: {:?}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// A header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn parse(answer: &[u8]) -> Option<Self> {
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&answer[..end]).ok()?;
        let (first, rest) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.split(' ').nth(1)?.parse().ok()?;
        let headers = rest.lines().filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Some(Self { status, headers, body: answer[end + 4..].to_vec() })
    }
}

/// Runs curl with these arguments, the last of which is a URL.
///
/// # Panics
/// If there is no answer.
async fn curl(arguments: &[&str]) -> Reply {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--include", "--max-time", "60", "--globoff", "--path-as-is"]);
    let output = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.expect("curl could not be started; `make setup` installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    Reply::parse(&output.stdout).unwrap_or_else(|| panic!("curl {arguments:?}: {}: {said}", output.status))
}

impl Server {
    /// GET of a URL that the server gave.
    pub async fn get(&self, url: &str) -> Reply {
        assert!(url.starts_with(&self.url), "{url} is not a URL of {}", self.url);
        curl(&[url]).await
    }

    /// GET, with one more header.
    pub async fn get_with(&self, url: &str, header: &str) -> Reply {
        curl(&["--header", header, url]).await
    }

    /// HEAD.
    pub async fn head(&self, url: &str) -> Reply {
        curl(&["--head", url]).await
    }

    /// POST of JSON to a path.
    pub async fn post(&self, path: &str, body: &str) -> Reply {
        let url = format!("{}{path}", self.url);
        curl(&["--header", "content-type: application/json", "--data-raw", body, &url]).await
    }

    /// POST of JSON to a path, with an API key.
    pub async fn post_as(&self, key: &str, path: &str, body: &str) -> Reply {
        let (url, key) = (format!("{}{path}", self.url), format!("x-api-key: {key}"));
        curl(&["--header", "content-type: application/json", "--header", &key, "--data-raw", body, &url]).await
    }
}
