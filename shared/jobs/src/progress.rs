//! How far an attempt has come: from what a media task reports to one number that never falls.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not running, or not known.
    #[default]
    Idle,
    /// Reading the recording's index and the source's headers, planning.
    Prepare,
    /// Copying or encoding media.
    Render,
    /// Writing the container's index, syncing to stable storage.
    Finalize,
    /// Reopening the result and comparing it with the plan.
    Verify,
    /// Delivering the result and making it visible.
    Publish,
}

impl Phase {
    /// The part of the whole that the phase stands for, from where to where. The last step to 1 is the published row.
    fn span(self) -> (f64, f64) {
        match self {
            Self::Idle => (0.0, 0.0),
            Self::Prepare => (0.0, 0.02),
            Self::Render => (0.02, 0.92),
            Self::Finalize => (0.92, 0.95),
            Self::Verify => (0.95, 0.98),
            Self::Publish => (0.98, 0.99),
        }
    }
}

/// What an attempt says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// What it is doing.
    pub phase: Phase,
    /// Media time done in this phase.
    pub media_done: Duration,
    /// Media time to do in this phase; zero while unknown.
    pub media_total: Duration,
    /// Bytes written in all.
    pub written_bytes: u64,
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Part of the whole work that is done, 0 to 1. Never falls within one attempt.
    pub fraction: f64,
    /// Media time written. Never falls within one attempt.
    pub media_done: Duration,
    /// Media time to write in all; zero while unknown.
    pub media_total: Duration,
    /// Bytes written. Never falls within one attempt.
    pub written_bytes: u64,
    /// Media time written per wall time, while it was written; 0 while unknown.
    pub speed: f64,
    /// Estimated time to the end of the attempt; absent while unknown.
    pub remaining: Option<Duration>,
}

/// Below this part of the whole, an estimate of the rest would be noise.
const FIRST_ESTIMATE: f64 = 0.05;

/// The longest rest that is worth an estimate.
const LONGEST_ESTIMATE: f64 = 30.0 * 24.0 * 3600.0;

/// Turns the reports of one attempt into its progress.
#[derive(Debug)]
pub(crate) struct Meter {
    started: SystemTime,
    rendering_since: Option<(SystemTime, Duration)>,
    progress: Progress,
}

impl Meter {
    pub(crate) fn new(now: SystemTime) -> Self {
        Self { started: now, rendering_since: None, progress: Progress::default() }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }

    /// Takes in a report. It comes from a process that hostile media may have taken over, so nothing in it is believed
    /// to fit together.
    pub(crate) fn update(&mut self, report: Report, now: SystemTime) {
        let done = report.media_done.min(report.media_total);
        let (from, to) = report.phase.span();
        let share = if report.media_total.is_zero() { 0.0 } else { done.div_duration_f64(report.media_total) };
        let progress = &mut self.progress;
        progress.phase = report.phase;
        progress.fraction = progress.fraction.max(from + (to - from) * share);
        progress.written_bytes = progress.written_bytes.max(report.written_bytes);
        if report.phase == Phase::Render {
            progress.media_total = progress.media_total.max(report.media_total);
            progress.media_done = progress.media_done.max(done);
            let (since, already) = *self.rendering_since.get_or_insert((now, done));
            let elapsed = now.duration_since(since).unwrap_or_default();
            if !elapsed.is_zero() {
                progress.speed = progress.media_done.saturating_sub(already).div_duration_f64(elapsed);
            }
        }
        progress.remaining = remaining(now.duration_since(self.started).unwrap_or_default(), progress.fraction);
    }
}

/// The time that the rest takes if it goes on as it has.
fn remaining(elapsed: Duration, fraction: f64) -> Option<Duration> {
    let rest = elapsed.as_secs_f64() * (1.0 - fraction) / fraction;
    (fraction >= FIRST_ESTIMATE && rest <= LONGEST_ESTIMATE).then(|| Duration::from_secs_f64(rest))
}

/// The progress of a job whose result is published.
pub(crate) fn complete(last: Progress) -> Progress {
    Progress { phase: Phase::Publish, fraction: 1.0, remaining: None, media_done: last.media_total, ..last }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn report(phase: Phase, done: u32, total: u32) -> Report {
        Report { phase, media_done: SECOND * done, media_total: SECOND * total, written_bytes: done.into() }
    }

    #[test]
    fn phases_add_up_and_nothing_falls() {
        let start = SystemTime::UNIX_EPOCH;
        let mut meter = Meter::new(start);
        let mut last = Progress::default();
        let reports = [
            report(Phase::Prepare, 0, 0),
            report(Phase::Render, 10, 100),
            report(Phase::Render, 5, 100),
            report(Phase::Render, 100, 100),
            report(Phase::Finalize, 0, 0),
            report(Phase::Verify, 7, 10),
            report(Phase::Render, 3, 100),
            report(Phase::Publish, 0, 0),
        ];
        for (second, report) in (1..).zip(reports) {
            meter.update(report, start + SECOND * second);
            let progress = meter.progress();
            assert!(progress.fraction >= last.fraction && progress.fraction < 1.0, "{progress:?} after {last:?}");
            assert!(progress.media_done >= last.media_done && progress.written_bytes >= last.written_bytes);
            last = progress;
        }
        assert_eq!(last.media_done, SECOND * 100);
        assert_eq!(complete(last).fraction, 1.0);
    }

    #[test]
    fn speed_and_rest_come_from_the_pace_so_far() {
        let start = SystemTime::UNIX_EPOCH;
        let mut meter = Meter::new(start);
        meter.update(report(Phase::Render, 0, 100), start);
        meter.update(report(Phase::Render, 50, 100), start + SECOND * 10);
        let progress = meter.progress();
        assert_eq!(progress.speed, 5.0);
        let rest = progress.remaining.expect("half is done").as_secs_f64();
        assert!((10.0..12.0).contains(&rest), "{rest}");
    }

    #[test]
    fn an_absurd_report_does_no_harm() {
        let mut meter = Meter::new(SystemTime::UNIX_EPOCH + SECOND);
        let absurd =
            Report { media_done: Duration::MAX, media_total: SECOND, phase: Phase::Render, written_bytes: u64::MAX };
        meter.update(absurd, SystemTime::UNIX_EPOCH);
        let progress = meter.progress();
        assert!(progress.fraction <= 0.92 && progress.speed.is_finite(), "{progress:?}");
        assert_eq!(progress.media_done, SECOND);
    }
}
