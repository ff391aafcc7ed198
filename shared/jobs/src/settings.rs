//! Limits and times of a queue.

use std::time::Duration;

use crate::{Error, Lane};

/// Limits and times of a queue. The defaults suit one machine with a few cores.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many jobs of the copy lane run at once in this process.
    pub copy_limit: usize,
    /// How many jobs of the encode lane run at once in this process.
    pub encode_limit: usize,
    /// How many jobs may be queued, all owners together.
    pub max_queued: u32,
    /// How many jobs one owner may have queued.
    pub max_queued_per_owner: u32,
    /// How many jobs of one owner run at once, in all processes together; more are left queued.
    pub max_running_per_owner: u32,
    /// How many attempts a job gets, unless it says otherwise.
    pub max_attempts: u32,
    /// After this many attempts whose media process died, a job is not tried again: it is the likely cause.
    pub max_crashes: u32,
    /// After this many attempts whose worker died, a job is not tried again. More than `max_crashes`: whoever stops a
    /// server stops all its jobs, and they are not to blame.
    pub max_losses: u32,
    /// How long an attempt is left alone without a sign of life.
    pub lease: Duration,
    /// How often an attempt gives a sign of life; at most a third of `lease`.
    pub heartbeat: Duration,
    /// How long a stopped attempt may take to end before it is dropped. Together with the writes around it this is to
    /// stay below the 2 s that a cancellation may take.
    pub stop_grace: Duration,
    /// The pause before the second attempt is a random part of this; it doubles with each further one.
    pub backoff_base: Duration,
    /// The longest pause between two attempts.
    pub backoff_cap: Duration,
    /// How long an ended job and its files are kept.
    pub retention: Duration,
    /// How often queued jobs, changes by other processes and queue positions are looked for, beside being told of them.
    pub poll: Duration,
    /// How often ended jobs and objects left behind are looked for, beside being told of them.
    pub sweep: Duration,
    /// Whether other processes work on the same database. If not, it is locked against them, and what a process that
    /// died had been running is taken up again at once.
    pub replicas: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            copy_limit: 4,
            encode_limit: 1,
            max_queued: 10_000,
            max_queued_per_owner: 1_000,
            max_running_per_owner: 16,
            max_attempts: 8,
            max_crashes: 2,
            max_losses: 5,
            lease: Duration::from_secs(10),
            heartbeat: Duration::from_secs(2),
            stop_grace: Duration::from_millis(1_500),
            backoff_base: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(5 * 60),
            retention: Duration::from_secs(72 * 60 * 60),
            poll: Duration::from_millis(500),
            sweep: Duration::from_secs(10),
            replicas: false,
        }
    }
}

impl Settings {
    /// How many jobs of `lane` run at once in this process.
    pub fn limit(&self, lane: Lane) -> usize {
        match lane {
            Lane::Copy => self.copy_limit,
            Lane::Encode => self.encode_limit,
        }
    }

    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// `Error::Invalid` names the part that doesn't.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |field, problem: String| Err(Error::Invalid { field, problem });
        for (field, pause) in [("heartbeat", self.heartbeat), ("poll", self.poll), ("sweep", self.sweep)] {
            if pause.is_zero() {
                return invalid(field, "it is zero".into());
            }
        }
        if self.heartbeat.saturating_mul(3) > self.lease {
            return invalid(
                "heartbeat",
                format!("{:?} is more than a third of the lease, {:?}", self.heartbeat, self.lease),
            );
        }
        for (field, limit) in [
            ("max_attempts", self.max_attempts),
            ("max_crashes", self.max_crashes),
            ("max_losses", self.max_losses),
            ("max_running_per_owner", self.max_running_per_owner),
        ] {
            if limit == 0 {
                return invalid(field, "it is 0".into());
            }
        }
        Ok(())
    }

    /// The pause after the `failures`-th failure (1, 2, …): full jitter, so that what failed together doesn't come back
    /// together.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let longest = self.backoff_base.saturating_mul(1 << doublings).min(self.backoff_cap);
        longest.mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_do_not_fit_are_named() {
        let check = |settings: Settings, field: &str| {
            let error = settings.check().expect_err(field).to_string();
            assert!(error.starts_with(field), "{error}");
        };
        let defaults = Settings::default;
        defaults().check().expect("the defaults fit");
        check(Settings { poll: Duration::ZERO, ..defaults() }, "poll");
        check(Settings { heartbeat: Duration::from_secs(4), ..defaults() }, "heartbeat");
        check(Settings { max_attempts: 0, ..defaults() }, "max_attempts");
    }

    #[test]
    fn backoff_doubles_up_to_its_cap() {
        let settings = Settings::default();
        for (failures, longest) in [(0, 1), (1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (u32::MAX, 300)] {
            for _ in 0..50 {
                assert!(settings.backoff(failures) <= Duration::from_secs(longest), "after {failures} failures");
            }
        }
    }
}
