//! Who a request comes from. Keys and passwords are compared by their digests, in constant time, all of them, so that
//! neither the answer nor the time it takes tells which part of a credential was wrong.

use std::fmt;

use axum::{extract::FromRequestParts, http::request::Parts};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::{Account, HttpError};

/// The owner of everything where no accounts are configured.
const LOCAL: &str = "local";
/// The header that carries an API key by itself.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who a request comes from: an extension of every request that was let through, and an argument of axum handlers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The account's id, or `local` where none are configured.
    pub owner: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, HttpError> {
        parts.extensions.get::<Self>().cloned().ok_or(HttpError(errors::Error::Unauthenticated))
    }
}

impl Caller {
    /// The caller of a gRPC request.
    ///
    /// # Errors
    /// `Unauthenticated` if the request went around the layer that knows callers.
    pub fn of(extensions: &http::Extensions) -> Result<Self, errors::Error> {
        extensions.get::<Self>().cloned().ok_or(errors::Error::Unauthenticated)
    }
}

/// The configured accounts.
pub struct Accounts {
    owners: Vec<String>,
    /// Digest of a credential, and whose it is.
    credentials: Vec<([u8; 32], u32)>,
}

impl fmt::Debug for Accounts {
    /// Shows no digest either: a weak password could be found by it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("owners", &self.owners).finish_non_exhaustive()
    }
}

impl Accounts {
    /// Takes the accounts of a checked config.
    pub fn new(accounts: &[Account]) -> Self {
        let mut credentials = Vec::new();
        for (n, account) in (0u32..).zip(accounts) {
            credentials.extend(account.api_keys.iter().map(|key| (digest_key(key.expose()), n)));
            if let (Some(user), Some(password)) = (&account.user, &account.password) {
                credentials.push((digest_basic(&format!("{user}:{}", password.expose())), n));
            }
        }
        Self { owners: accounts.iter().map(|account| account.id.clone()).collect(), credentials }
    }

    /// Whether there are none, so that everything is open.
    pub fn is_open(&self) -> bool {
        self.owners.is_empty()
    }

    /// Says who sent a request with these headers: an API key in `authorization: Bearer` or `x-api-key`, or user and
    /// password in `authorization: Basic`.
    ///
    /// # Errors
    /// `Unauthenticated`, for whatever reason: none, unknown, malformed, or two that aren't the same.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Caller, errors::Error> {
        if self.is_open() {
            return Ok(Caller { owner: LOCAL.to_owned() });
        }
        let presented = presented(headers).ok_or(errors::Error::Unauthenticated)?;
        let mut found = u32::MAX;
        for (credential, account) in &self.credentials {
            let same: Choice = credential.ct_eq(&presented);
            found.conditional_assign(account, same);
        }
        let owner = self.owners.get(found as usize).ok_or(errors::Error::Unauthenticated)?;
        Ok(Caller { owner: owner.clone() })
    }
}

/// The digest of the one credential in the headers; `None` if there is none, or two that differ.
fn presented(headers: &HeaderMap) -> Option<[u8; 32]> {
    let authorization = headers.get_all(AUTHORIZATION).iter().map(digest_authorization);
    let api_key = headers.get_all(API_KEY).iter().map(|key| Some(digest_key(key.to_str().ok()?)));
    let mut credentials = authorization.chain(api_key);
    let first = credentials.next()??;
    credentials.all(|other| other.is_some_and(|other| bool::from(other.ct_eq(&first)))).then_some(first)
}

fn digest_authorization(value: &HeaderValue) -> Option<[u8; 32]> {
    let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
    let credential = credential.trim_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(digest_key(credential));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = BASE64_STANDARD.decode(credential).ok()?;
        return Some(digest_basic(std::str::from_utf8(&decoded).ok()?));
    }
    None
}

// The kinds are digested apart: nobody logs in with user and password as an API key.
fn digest_key(key: &str) -> [u8; 32] {
    digest(b"api key\0", key)
}

fn digest_basic(user_and_password: &str) -> [u8; 32] {
    digest(b"basic\0", user_and_password)
}

fn digest(kind: &[u8], credential: &str) -> [u8; 32] {
    Sha256::new().chain_update(kind).chain_update(credential).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn account(id: &str, keys: &[&str], basic: Option<(&str, &str)>) -> Account {
        Account {
            id: id.to_owned(),
            api_keys: keys.iter().map(|key| Secret::new(*key)).collect(),
            user: basic.map(|(user, _)| user.to_owned()),
            password: basic.map(|(_, password)| Secret::new(password)),
        }
    }

    fn check(headers: &[(&'static str, &str)], expected: Option<&str>) {
        let accounts =
            Accounts::new(&[account("a", &["k1", "k1-next"], Some(("root", "secret"))), account("b", &["k2"], None)]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let found = accounts.identify(&map).ok().map(|caller| caller.owner);
        assert_eq!(found.as_deref(), expected, "{headers:?}");
    }

    #[test]
    fn credentials() {
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        check(&[("authorization", "Bearer k1")], Some("a"));
        check(&[("authorization", "bearer  k1-next")], Some("a"));
        check(&[("x-api-key", "k2")], Some("b"));
        check(&[("authorization", &basic("root:secret"))], Some("a"));
        check(&[("authorization", "Bearer k1"), ("x-api-key", "k1")], Some("a"));

        check(&[], None);
        check(&[("authorization", "Bearer k1"), ("x-api-key", "k2")], None);
        check(&[("authorization", "Bearer k1"), ("x-api-key", "k1-next")], None);
        check(&[("authorization", "Bearer k1"), ("authorization", "Bearer nonsense")], None);
        check(&[("authorization", "Bearer k1"), ("authorization", "Digest k1")], None);
        check(&[("x-api-key", "k1"), ("x-api-key", "k2")], None);
        check(&[("authorization", "Bearer K1")], None);
        check(&[("authorization", "Bearer ")], None);
        check(&[("authorization", "Bearer k")], None);
        check(&[("authorization", "Bearer k1 k1")], None);
        check(&[("authorization", "k1")], None);
        check(&[("authorization", "HMAC-SHA1 k1")], None);
        check(&[("x-api-key", "")], None);
        check(&[("x-api-key", "root:secret")], None);
        check(&[("authorization", "Bearer root:secret")], None);
        check(&[("authorization", &basic("k1"))], None);
        check(&[("authorization", &basic("root:wrong"))], None);
        check(&[("authorization", &basic("root"))], None);
        check(&[("authorization", "Basic !!!")], None);
        check(&[("x-key", "k1")], None);
    }

    #[test]
    fn without_accounts_everything_belongs_to_one_owner() {
        let caller = Accounts::new(&[]).identify(&HeaderMap::new()).unwrap();
        assert_eq!(caller.owner, "local");
    }
}
