//! Page tokens: where a page ended, sealed together with whose list it was.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Error, queue::Filter};

/// Half of an HMAC-SHA-256: RFC 2104 §5 allows it, and nobody can guess it.
const SEAL: usize = 16;

/// Makes and reads tokens. A token is good for one kind, owner and filter.
pub(crate) struct Tokens(Vec<u8>);

impl Tokens {
    pub(crate) fn new(key: Vec<u8>) -> Self {
        Self(key)
    }

    pub(crate) fn seal(&self, seq: i64, kind: &str, owner: &str, filter: &Filter) -> String {
        let mut token = seq.to_be_bytes().to_vec();
        let seal = self.mac(&token, kind, owner, filter).finalize().into_bytes();
        token.extend_from_slice(&seal[..SEAL]);
        BASE64_URL_SAFE_NO_PAD.encode(token)
    }

    pub(crate) fn open(&self, token: &str, kind: &str, owner: &str, filter: &Filter) -> Result<i64, Error> {
        let token = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| Error::PageToken)?;
        let (seq, seal) = token.split_first_chunk::<8>().ok_or(Error::PageToken)?;
        if seal.len() != SEAL {
            return Err(Error::PageToken);
        }
        self.mac(seq, kind, owner, filter).verify_truncated_left(seal).map_err(|_| Error::PageToken)?;
        Ok(i64::from_be_bytes(*seq))
    }

    fn mac(&self, seq: &[u8], kind: &str, owner: &str, filter: &Filter) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        let state = filter.state.map_or("", |state| state.name());
        let label = filter.label.as_deref();
        mac.update(seq);
        for part in [kind, owner, state, label.map_or("", |_| "label"), label.unwrap_or_default()] {
            // With its length before it, no part can pass for another.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    #[test]
    fn a_token_is_good_for_its_own_list_only() {
        let tokens = Tokens::new(b"key".to_vec());
        let all = Filter::default();
        let failed = Filter { state: Some(State::Failed), label: None };
        let labelled = Filter { state: None, label: Some("FAILED".into()) };
        let token = tokens.seal(42, "export", "me", &all);
        assert_eq!(tokens.open(&token, "export", "me", &all).expect("its own"), 42);
        for (kind, owner, filter) in [
            ("export", "you", &all),
            ("dvr_export", "me", &all),
            ("exportm", "e", &all),
            ("export", "me", &failed),
            ("export", "me", &labelled),
        ] {
            assert!(tokens.open(&token, kind, owner, filter).is_err(), "{kind} {owner} {filter:?}");
        }
        assert!(Tokens::new(b"other".to_vec()).open(&token, "export", "me", &all).is_err());
    }

    #[test]
    fn damaged_tokens_are_refused() {
        let tokens = Tokens::new(b"key".to_vec());
        let token = tokens.seal(7, "export", "me", &Filter::default());
        let open = |token: &str| tokens.open(token, "export", "me", &Filter::default());
        for position in 0..token.len() {
            let flipped = if token.as_bytes()[position] == b'A' { "B" } else { "A" };
            let mut forged = token.clone();
            forged.replace_range(position..=position, flipped);
            assert!(open(&forged).is_err(), "{forged}");
            assert!(open(&token[..position]).is_err());
        }
        for junk in ["", "é", "'; drop table jobs", "AAAA", &"A".repeat(10_000)] {
            assert!(open(junk).is_err(), "{junk}");
        }
    }
}
