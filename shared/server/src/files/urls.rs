//! URLs of files. With accounts configured they are signed and expire, so that one works by itself, for a while, for
//! whoever was given it, and cannot be guessed or bent to another file.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit, Mac};
use http::uri::Authority;
use sha2::Sha256;

use super::{FILES_PATH, secret};
use crate::{Config, Error, FilesConfig};

/// Where a service is reached, as the sender of a request sees it: an extension of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    service: &'static str,
    url: String,
    /// Whether the settings name it, so that no request needs to.
    fixed: bool,
}

impl BaseUrl {
    pub(crate) fn new(service: &'static str, config: &FilesConfig, listen: SocketAddr) -> Self {
        if let Some(public) = &config.public_url {
            return Self { service, url: public.replace("{service}", service), fixed: true };
        }
        // Whoever listens everywhere is reached here, at least.
        let ip = if listen.ip().is_unspecified() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { listen.ip() };
        Self { service, url: format!("http://{}", SocketAddr::new(ip, listen.port())), fixed: false }
    }

    /// The base URL of the service that a request was sent to.
    ///
    /// # Errors
    /// `Internal` if the request went around the layer that knows it.
    pub fn of(extensions: &http::Extensions) -> Result<&Self, errors::Error> {
        extensions.get().ok_or_else(|| errors::Error::internal("the request has no base URL"))
    }

    /// The service, as programs are named: `export-service`.
    pub(crate) fn service(&self) -> &'static str {
        self.service
    }

    /// This service as a sender sees it that named `authority`. What isn't a host and a port is not repeated.
    pub(crate) fn as_seen_by(&self, authority: Option<&str>) -> Self {
        match authority.filter(|authority| !self.fixed && host_of(authority).is_some()) {
            Some(authority) => Self { url: format!("http://{authority}"), ..self.clone() },
            None => self.clone(),
        }
    }
}

/// The host of `host` or `host:port`; `None` if it isn't that.
pub(crate) fn host_of(authority: &str) -> Option<&str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if !authority.bytes().all(plain) || authority.parse::<Authority>().is_err() {
        return None;
    }
    let port = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'));
    Some(&authority[..port.unwrap_or(authority.len())]).filter(|host| !host.is_empty())
}

/// Makes the URLs of files, and checks them.
pub struct FileUrls {
    /// Keyed, ready to be fed; `None` where everything is open.
    signer: Option<Hmac<Sha256>>,
    life: Duration,
}

impl std::fmt::Debug for FileUrls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileUrls").field("signed", &self.signer.is_some()).field("life", &self.life).finish()
    }
}

/// Why a URL isn't good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It was not signed by us, or was altered.
    Forged,
    /// It was good.
    Expired,
}

impl Refusal {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Forged => "this URL was not handed out by this service",
            Self::Expired => "this URL has expired: ask the service for a new one",
        }
    }
}

impl FileUrls {
    /// With accounts configured, reads the secret that signs URLs, made first if it is missing.
    pub(crate) fn open(config: &Config) -> Result<Self, Error> {
        let signer = match config.is_open() {
            true => None,
            false => {
                let default = config.data.join("url-secret");
                let secret = secret::load(config.files.secret_file.as_deref().unwrap_or(&default))?;
                Some(keyed(&secret))
            }
        };
        Ok(Self { signer, life: config.files.url_minutes.duration() })
    }

    /// The URL of the file at `path` (see [`Files::resolve`](crate::Files::resolve)), good from now on for as long as the
    /// settings say, or, without accounts, for as long as there is the file.
    pub fn url(&self, base: &BaseUrl, path: &str) -> String {
        self.url_at(base, path, SystemTime::now())
    }

    fn url_at(&self, base: &BaseUrl, path: &str, now: SystemTime) -> String {
        let mut url = format!("{}{FILES_PATH}{}", base.url, percent_encode(path, b"-._~/"));
        if let Some(signer) = &self.signer {
            let expires = seconds(now).saturating_add(self.life.as_secs()).to_string();
            let signature = mac(signer, base.service, path, &expires).finalize().into_bytes();
            url.push_str("?expires=");
            url.push_str(&expires);
            url.push_str("&signature=");
            for byte in signature {
                // Writing to a string can't fail.
                let _ = write!(url, "{byte:02x}");
            }
        }
        url
    }

    /// Says whether a request for `path`, with this query, was allowed by whoever made its URL.
    pub(crate) fn check(&self, service: &str, path: &str, query: &str, now: SystemTime) -> Result<(), Refusal> {
        let Some(signer) = &self.signer else { return Ok(()) };
        let expires = single(query, "expires").ok_or(Refusal::Forged)?;
        let signature = single(query, "signature").and_then(decode_hex).ok_or(Refusal::Forged)?;
        // In constant time. What was signed is the text, so that no two texts mean the same time.
        mac(signer, service, path, expires).verify_slice(&signature).map_err(|_| Refusal::Forged)?;
        let expires: u64 = expires.parse().map_err(|_| Refusal::Forged)?;
        if seconds(now) < expires { Ok(()) } else { Err(Refusal::Expired) }
    }
}

/// HMAC keyed with a secret, which RFC 2104 pads with zeros to a block of the hash.
fn keyed(secret: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..32].copy_from_slice(secret);
    Hmac::new(&block.into())
}

/// What is signed: neither a service nor a time contains a line feed, so the three can't run into each other.
fn mac(signer: &Hmac<Sha256>, service: &str, path: &str, expires: &str) -> Hmac<Sha256> {
    let mut mac = signer.clone();
    for part in ["file", service, expires, path] {
        mac.update(part.as_bytes());
        mac.update(b"\n");
    }
    mac
}

/// The value of a parameter that occurs exactly once.
fn single<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut values = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
    let (_, value) = values.next()?;
    values.next().is_none().then_some(value)
}

/// 32 bytes in lower-case hex, and nothing else.
fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Encodes all bytes but ASCII letters, digits and those in `plain` (RFC 3986 §2.1).
pub(super) fn percent_encode(text: &str, plain: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a string can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn urls(secret: u8) -> FileUrls {
        FileUrls { signer: Some(keyed(&[secret; 32])), life: Duration::from_secs(60) }
    }

    fn base() -> BaseUrl {
        BaseUrl { service: "export-service", url: "http://host:1".to_owned(), fixed: false }
    }

    #[test]
    fn a_signed_url_is_good_for_its_file_its_service_and_its_time_only() {
        let (now, path) = (UNIX_EPOCH + NOW, "job/1/clip ü.ts");
        let url = urls(1).url_at(&base(), path, now);
        let (front, query) = url.split_once('?').unwrap();
        assert_eq!(front, "http://host:1/files/job/1/clip%20%C3%BC.ts");
        assert!(query.starts_with("expires=1800000060&signature="), "{query}");
        let check = |urls: &FileUrls, service, path, query: &str, at| urls.check(service, path, query, UNIX_EPOCH + at);

        let good = urls(1);
        assert_eq!(check(&good, "export-service", path, query, NOW), Ok(()));
        assert_eq!(check(&good, "export-service", path, &format!("x=1&{query}"), NOW), Ok(()));
        let last = NOW + Duration::from_secs(59);
        assert_eq!(check(&good, "export-service", path, query, last), Ok(()));
        let late = NOW + Duration::from_secs(60);
        assert_eq!(check(&good, "export-service", path, query, late), Err(Refusal::Expired));

        assert_eq!(check(&good, "dvr-export-service", path, query, NOW), Err(Refusal::Forged));
        assert_eq!(check(&good, "export-service", "job/2/clip ü.ts", query, NOW), Err(Refusal::Forged));
        assert_eq!(check(&urls(2), "export-service", path, query, NOW), Err(Refusal::Forged));
        for position in 0..query.len() {
            let mut altered = query.as_bytes().to_vec();
            altered[position] = if altered[position] == b'0' { b'1' } else { b'0' };
            let altered = String::from_utf8(altered).unwrap();
            assert_eq!(check(&good, "export-service", path, &altered, NOW), Err(Refusal::Forged), "{altered}");
        }
        let twice = format!("{query}&expires=1900000000");
        let upper = query.to_ascii_uppercase().replace("EXPIRES", "expires").replace("SIGNATURE", "signature");
        for query in ["", "expires=1800000060", &twice, &upper, &format!("{query}0"), &query[..query.len() - 1]] {
            assert_eq!(check(&good, "export-service", path, query, NOW), Err(Refusal::Forged), "{query}");
        }
    }

    #[test]
    fn without_accounts_urls_are_plain() {
        let open = FileUrls { signer: None, life: Duration::ZERO };
        assert_eq!(open.url(&base(), "a/b.ts"), "http://host:1/files/a/b.ts");
        assert_eq!(open.check("export-service", "a/b.ts", "", SystemTime::now()), Ok(()));
    }

    #[test]
    fn bases() {
        let listen: SocketAddr = "0.0.0.0:50051".parse().unwrap();
        let base = BaseUrl::new("export-service", &FilesConfig::default(), listen);
        assert_eq!(base.as_seen_by(None).url, "http://127.0.0.1:50051");
        assert_eq!(base.as_seen_by(Some("clips.example.com:8080")).url, "http://clips.example.com:8080");
        assert_eq!(base.as_seen_by(Some("[::1]:50051")).url, "http://[::1]:50051");
        for hostile in ["", ":1", "a@b", "a/b", "a b", "a\"b", "a?b", "a:b:c", "evil.com#"] {
            assert_eq!(base.as_seen_by(Some(hostile)).url, "http://127.0.0.1:50051", "{hostile}");
        }
        let public = Some("https://clips.example.com/{service}".to_owned());
        let base = BaseUrl::new("export-service", &FilesConfig { public_url: public, ..Default::default() }, listen);
        assert_eq!(base.as_seen_by(Some("other")).url, "https://clips.example.com/export-service");
    }

    #[test]
    fn hosts() {
        let cases = [
            ("localhost", Some("localhost")),
            ("a.b:1", Some("a.b")),
            ("[::1]:1", Some("[::1]")),
            ("[::1]", Some("[::1]")),
        ];
        for (authority, host) in cases.into_iter().chain([(":1", None), ("a b", None), ("", None)]) {
            assert_eq!(host_of(authority), host, "{authority}");
        }
    }
}
