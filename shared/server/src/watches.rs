//! How many streams each account may hold open. A stream costs little, but it costs for hours.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// When it is worth trying again: streams end when jobs do.
const RETRY: Duration = Duration::from_secs(10);

/// Counts the streams that each account holds open.
#[derive(Debug, Clone)]
pub struct Watches {
    limit: u32,
    open: Arc<Mutex<HashMap<String, u32>>>,
}

/// The right to hold one stream open: keep it in the stream.
#[derive(Debug)]
pub struct WatchPermit {
    watches: Watches,
    owner: String,
}

impl Watches {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, open: Arc::default() }
    }

    /// Counts one more stream of `owner`.
    ///
    /// # Errors
    /// `TooManyRequests` if it holds as many as it may.
    pub fn open(&self, owner: &str) -> Result<WatchPermit, errors::Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(owner.to_owned()).or_default();
        if *count >= self.limit {
            let message = format!("{count} streams are open, and an account may hold no more");
            return Err(errors::Error::TooManyRequests { message, retry_after: RETRY });
        }
        *count += 1;
        Ok(WatchPermit { watches: self.clone(), owner: owner.to_owned() })
    }
}

impl Drop for WatchPermit {
    fn drop(&mut self) {
        let mut open = self.watches.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_has_its_own_limit() {
        let watches = Watches::new(2);
        let first = watches.open("a").unwrap();
        let _second = watches.open("a").unwrap();
        assert!(matches!(watches.open("a"), Err(errors::Error::TooManyRequests { .. })));
        let other = watches.open("b").unwrap();
        drop(first);
        let _third = watches.open("a").unwrap();
        drop(other);
        assert_eq!(watches.open.lock().unwrap().len(), 1, "who holds none costs nothing");
    }
}
