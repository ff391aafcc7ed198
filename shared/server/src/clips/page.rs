//! Page tokens of lists that lie outside of the database: where a page ended, and of which list. What is in one is no
//! secret and gives no right, so it is only marked, not sealed: a token that was mixed up or bent is told from a good one.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// How many bytes of the digest mark a token.
const MARK: usize = 12;
/// The longest token, in bytes: a uid has at most 1,024.
const LONGEST: usize = 4_096;

/// How many items a page may hold, of (what it holds if it isn't told, the most).
///
/// # Errors
/// `Invalid` for less than 0.
pub(super) fn page_size(asked: i32, (default, most): (usize, usize)) -> Result<usize, errors::Error> {
    match usize::try_from(asked) {
        Ok(0) => Ok(default),
        Ok(asked) => Ok(asked.min(most)),
        Err(_) => Err(errors::Error::invalid("page_size", format!("{asked} is less than 0"))),
    }
}

/// A token for the page after `position` of the list that `scope` names.
pub(super) fn seal_token(position: &str, scope: &[&str]) -> String {
    let mut token = mark(position, scope).to_vec();
    token.extend_from_slice(position.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(token)
}

/// The position in a token; `None` if there is no token.
///
/// # Errors
/// `Invalid` if it is of another list, or no token at all.
pub(super) fn open_token(token: &str, scope: &[&str]) -> Result<Option<String>, errors::Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let position = (token.len() <= LONGEST).then(|| BASE64_URL_SAFE_NO_PAD.decode(token).ok()).flatten();
    let position = position.and_then(|bytes| {
        let (marked, position) = bytes.split_at_checked(MARK)?;
        let position = std::str::from_utf8(position).ok()?;
        (marked == mark(position, scope)).then(|| position.to_owned())
    });
    position.map(Some).ok_or_else(refused)
}

/// A token that can't be used.
pub(super) fn refused() -> errors::Error {
    errors::Error::invalid("page_token", "it is not from a page of this list")
}

fn mark(position: &str, scope: &[&str]) -> [u8; MARK] {
    let mut digest = Sha256::new();
    for part in scope.iter().chain([&position]) {
        // With its length before it, no part can pass for another.
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let mut mark = [0; MARK];
    mark.copy_from_slice(&digest.finalize()[..MARK]);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_list_only() {
        let scope = ["sources", "news"];
        let token = seal_token("news/ä.mp4", &scope);
        assert_eq!(open_token(&token, &scope).unwrap().as_deref(), Some("news/ä.mp4"));
        assert_eq!(open_token("", &scope).unwrap(), None);
        for other in [&["sources", ""][..], &["sources", "new", "s"], &["coverage", "news"], &[]] {
            assert!(open_token(&token, other).is_err(), "{other:?}");
        }
        for bent in ["AAAA", "é", "'; drop", &token[1..], &token[..token.len() - 1], &"A".repeat(5_000)] {
            assert!(open_token(bent, &scope).is_err(), "{bent}");
        }
        for at in 0..token.len() {
            let mut bent = token.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            assert!(open_token(std::str::from_utf8(&bent).unwrap(), &scope).is_err(), "{at}");
        }
    }

    #[test]
    fn pages_are_of_a_size_that_can_be() {
        assert_eq!(page_size(0, (10, 100)).unwrap(), 10);
        assert_eq!(page_size(101, (10, 100)).unwrap(), 100);
        assert!(page_size(-1, (10, 100)).is_err());
    }
}
