//! A clip from the first packet to the verified file.
//!
//! ```text
//! method.rs     which spans, and which way the video is made
//! layout.rs     what the file is laid out for
//! assembly.rs   the file being put together, span by span
//! run.rs        one span while it is cut
//! tracks.rs     the tracks of the file, and how those beside the video are written
//! fill.rs       black and silence where nothing was recorded
//! coverage.rs   what a span gave, held against what it should have
//! damage.rs     taking what is damaged out of what is read
//! ```

mod assembly;
mod coverage;
mod damage;
mod fill;
mod layout;
mod method;
mod run;
mod tracks;

use std::{fs::File, sync::Arc};

use crate::{ClipReport, ClipTask, Damage, Error, Gap, Progress, host::Host, time::TimeRange};
use assembly::{Assembly, Made};
pub(crate) use coverage::Hole;
pub(crate) use damage::exclude;
pub(crate) use layout::Known;
pub(crate) use method::{
    Chosen, Method, SPAN_SLACK, Wanted, choose, follow, needs_thorough, track_reports, wanted_spans,
};

/// A clip is begun again when something shows up that had to be known from the start. Each time it is something else; a
/// recording with more damage than this is none.
const MAX_PASSES: usize = 200;

/// Cuts the clip, writes it to the host's output, and verifies it.
///
/// # Errors
/// `NoMedia` if no frame lies in the range; see [`Error`] for the rest.
pub(crate) fn clip(task: &ClipTask, host: Arc<dyn Host>) -> Result<ClipReport, Error> {
    let mut task = task.clone();
    let mut known = Known::default();
    let mut damage: Vec<Gap> = Vec::new();
    for _ in 0..MAX_PASSES {
        host.report(Progress { media_total: total(&task), ..Progress::default() })?;
        let output = host.output()?;
        let made = Assembly::begin(&task, &host, &output, &known).and_then(Assembly::run);
        match made {
            Ok(Made::Clip(report, tails)) => {
                damage.extend(tails.iter().map(|hole| damage::exclude(&mut task.input, hole)));
                return Ok(with_gaps(*report, &task, damage));
            }
            Ok(Made::NeedsIndex(bytes)) => known.index_bytes = Some(bytes),
            Ok(Made::NeedsSets { header, sets }) => {
                known.learn(&header, &sets);
            }
            Ok(Made::Holes(holes)) => {
                if task.damage == Damage::Strict {
                    return Err(holes.into_iter().next().map_or(Error::Cancelled, coverage::Hole::into_error));
                }
                damage.extend(holes.iter().map(|hole| damage::exclude(&mut task.input, hole)));
            }
            Err(error @ Error::Damaged { .. }) if task.damage == Damage::Lenient => {
                let Error::Damaged { source_index, offset, problem } = &error else { return Err(error) };
                let hole = damage::hole_of_piece(&mut task.input, (*source_index, *offset), problem, task.range);
                let Some(hole) = hole.filter(|_| !wanted_spans(&task).is_empty()) else { return Err(error) };
                if !hole.range.is_empty() {
                    damage.push(damage::exclude(&mut task.input, &hole));
                }
            }
            Err(Error::NoMedia(_)) if !damage.is_empty() => return Err(nothing_left(&task, &damage)),
            Err(error) => return Err(error),
        }
        clear(&output)?;
    }
    Err(Error::Unusable(format!("the recording is damaged in more than {MAX_PASSES} places of the range")))
}

fn clear(output: &File) -> Result<(), Error> {
    output.set_len(0).map_err(|error| Error::Io(format!("the output could not be cleared: {error}")))
}

fn nothing_left(task: &ClipTask, damage: &[Gap]) -> Error {
    let first = damage.iter().find_map(|gap| gap.damage.as_deref()).unwrap_or_default();
    Error::Unusable(format!("nothing between {} and {} can be used: {first}", task.range.start, task.range.end))
}

fn total(task: &ClipTask) -> i64 {
    i64::try_from(task.range.duration().as_nanos()).unwrap_or(i64::MAX)
}

/// `report` with the gaps of the recording and those that damage left.
fn with_gaps(mut report: ClipReport, task: &ClipTask, damage: Vec<Gap>) -> ClipReport {
    let missing = gaps(task, &damage);
    for gap in &missing {
        if let Some(problem) = &gap.damage {
            report.warnings.push(format!("{} to {} is missing: {problem}", gap.range.start, gap.range.end));
        }
    }
    report.gaps = missing;
    report
}

/// What of the range the spans don't cover, in order, told apart by whether it was recorded.
pub(crate) fn gaps(task: &ClipTask, damage: &[Gap]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut reached = task.range.start;
    let ranges = task.input.spans.iter().filter_map(|span| span.range.intersection(&task.range));
    for range in ranges.chain([TimeRange::new(task.range.end, task.range.end)]) {
        split(TimeRange::new(reached, range.start.max(reached)), damage, &mut gaps);
        reached = reached.max(range.end);
    }
    gaps
}

fn split(missing: TimeRange, damage: &[Gap], gaps: &mut Vec<Gap>) {
    // Manifests round; a frame is longer.
    let is_gap = |range: &TimeRange| range.end.nanos_since(range.start) > SPAN_SLACK;
    let mut reached = missing.start;
    let mut damage: Vec<_> =
        damage.iter().filter_map(|gap| Some((gap.range.intersection(&missing)?, gap.damage.clone()))).collect();
    damage.sort_by_key(|(range, _)| range.start);
    damage.push((TimeRange::new(missing.end, missing.end), None));
    for (range, damage) in damage {
        let start = range.start.max(reached);
        for (range, damage) in
            [(TimeRange::new(reached, start), None), (TimeRange::new(start, range.end.max(start)), damage)]
        {
            if is_gap(&range) {
                gaps.push(Gap { range, damage });
            }
        }
        reached = reached.max(range.end);
    }
}
