//! Work that a caller waits for: short, and within limits of its own.

use std::{collections::VecDeque, time::Duration};

use media::{ClipReport, ClipTask, Control, Limits, Outcome, Progress, Task, Thumbnail, ThumbnailTask};

use super::{GapPolicy, Located, merged, source::split_at_damage};
use crate::Suite;

/// Says what each file of a clip would be, in order. Blocks.
///
/// # Errors
/// Those of `media`; `Gaps` if the policy is `Fail` and the media shows one.
pub fn plan(suite: &Suite, located: &Located) -> Result<Vec<ClipReport>, errors::Error> {
    let mut reports = Vec::new();
    // A piece of a file that damage has split isn't split again.
    let mut waiting: VecDeque<(ClipTask, bool)> = located.tasks.iter().map(|task| (task.clone(), true)).collect();
    while let Some((task, is_whole)) = waiting.pop_front() {
        let report = plan_one(suite, task.clone())?;
        let pieces = match located.policy {
            GapPolicy::Split if is_whole => split_at_damage(&task, &report.gaps)?,
            _ => None,
        };
        match pieces {
            Some(pieces) => pieces.into_iter().rev().for_each(|piece| waiting.push_front((piece, false))),
            None => reports.push(report),
        }
        super::source::check_count(reports.len() + waiting.len())?;
    }
    located.policy.check(&merged(&located.gaps, &reports))?;
    Ok(reports)
}

fn plan_one(suite: &Suite, task: ClipTask) -> Result<ClipReport, errors::Error> {
    match suite.media.run(&Task::Plan(task), &suite.library, None, &quick(), &Unattended)? {
        Outcome::Clip(report) => Ok(report),
        other => Err(errors::Error::internal(format!("a plan answered {other:?}"))),
    }
}

/// Makes a picture. Blocks.
///
/// # Errors
/// Those of `media`.
pub fn thumbnail(suite: &Suite, task: ThumbnailTask) -> Result<Thumbnail, errors::Error> {
    match suite.media.run(&Task::Thumbnail(task), &suite.library, None, &quick(), &Unattended)? {
        Outcome::Thumbnail(picture) => Ok(picture),
        other => Err(errors::Error::internal(format!("a still answered {other:?}"))),
    }
}

/// What work may use that a caller waits for.
pub fn quick() -> Limits {
    Limits {
        wall: Duration::from_secs(20),
        no_progress: Duration::from_secs(15),
        memory_bytes: 1_536 << 20,
        output_bytes: 0,
        background: false,
    }
}

/// Control of work that a caller waits for: its limits end it, nobody else does.
pub(super) struct Unattended;

impl Control for Unattended {
    fn cancelled(&self) -> bool {
        false
    }

    fn progress(&self, _: Progress) {}
}
