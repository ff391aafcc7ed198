//! From a recording and a range to tasks for `media`.

use std::{collections::HashMap, sync::Arc};

use media::{
    Anchor, ClipTask, Damage, GapFill, Input, Outcome, Part, Piece, Span, Task,
    time::{TimeRange, WallTime},
};
use recordings::{Probe, Reason, Recording, RecordingOptions};

use super::{
    Gap, GapCause, GapPolicy,
    ask::{Unattended, quick},
};
use crate::Suite;

/// The most files that one clip may be split into.
pub const MAX_FILES: usize = 100;

/// A clip, located: what to cut, and what of it is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// Mark-in and mark-out, as they were asked for.
    pub requested: TimeRange,
    /// What of it the index knows to be missing, in order.
    pub gaps: Vec<Gap>,
    /// What becomes of them, and of those that show later.
    pub policy: GapPolicy,
    /// What to cut, a task for each file, in order of time. Never empty, at most [`MAX_FILES`].
    pub tasks: Vec<ClipTask>,
}

/// Finds a recording, and of it the rendition of this name or the best. One that knows no wall clock begins at `start`.
/// Blocks: it may read manifests and have a file probed.
///
/// # Errors
/// Those of `recordings`.
pub fn recording(
    suite: &Suite,
    uid: &str,
    rendition: Option<&str>,
    start: Option<WallTime>,
) -> Result<Recording, errors::Error> {
    let options = RecordingOptions { rendition: rendition.map(str::to_owned) };
    let recording = suite.library.recording_with(uid, &options, &prober(suite))?;
    Ok(match start {
        Some(start) => recording.with_start(start),
        None => recording,
    })
}

/// Looks into media files for `recordings`, in a media process.
pub fn prober(suite: &Suite) -> impl Probe + '_ {
    |input: &Input| {
        let task = Task::Probe(input.clone());
        match suite.media.run(&task, &suite.library, None, &quick(), &Unattended)? {
            Outcome::Probe(probe) => Ok(probe),
            other => Err(media::Error::Internal(format!("a probe answered {other:?}"))),
        }
    }
}

/// Finds what `task` is to read: its range says where, its input is replaced. Blocks.
///
/// # Errors
/// `OutOfRange` if nothing of the range was recorded, `Gaps` if the policy is `Fail` and there is one, `UnusableSource` if
/// damage is known and the task is strict about it, `Conflict` if the policy is `Split` and there are too many gaps; see
/// `recordings` for the rest.
pub fn locate(
    suite: &Suite,
    recording: &Recording,
    task: ClipTask,
    policy: GapPolicy,
) -> Result<Located, errors::Error> {
    let requested = task.range;
    let selection = recording.select(requested, &prober(suite))?;
    let gaps = match &selection.gaps[..] {
        [] => Vec::new(),
        gaps => known_gaps(suite, recording, requested, gaps)?,
    };
    if task.damage == Damage::Strict {
        check_damage(&gaps)?;
    }
    policy.check(&gaps)?;
    let fill = if policy == GapPolicy::Fill { GapFill::Black } else { GapFill::Close };
    let task = ClipTask { gaps: fill, input: Input::default(), ..task };
    let tasks = match policy {
        GapPolicy::Split => split(&task, &selection.input, &selection.gaps)?,
        GapPolicy::Skip | GapPolicy::Fill | GapPolicy::Fail => vec![ClipTask { input: selection.input, ..task }],
    };
    Ok(Located { requested, gaps, policy, tasks })
}

/// The gaps of a selection, and why each is one.
fn known_gaps(
    suite: &Suite,
    recording: &Recording,
    range: TimeRange,
    gaps: &[TimeRange],
) -> Result<Vec<Gap>, errors::Error> {
    let covered = recording.coverage(range, gaps.len() + 1, &prober(suite))?;
    let reason = |gap: &TimeRange| {
        let explained = covered.gaps.iter().find(|known| known.range.intersection(gap).is_some());
        explained.map_or(Reason::NotRecorded, |known| known.reason.clone())
    };
    let known = |gap: &TimeRange| Gap::known(recordings::Gap { range: *gap, reason: reason(gap) }, recording.range());
    Ok(gaps.iter().map(known).collect())
}

/// Whether none of the gaps is damage.
///
/// # Errors
/// `UnusableSource`, which names the first.
pub(super) fn check_damage(gaps: &[Gap]) -> Result<(), errors::Error> {
    let damage = gaps.iter().find_map(|gap| match &gap.cause {
        GapCause::Damaged(what) => Some((gap.range, what)),
        GapCause::NotRecorded | GapCause::Declared | GapCause::Outside => None,
    });
    match damage {
        Some((range, what)) => {
            Err(errors::Error::UnusableSource(format!("{what}; it is missing from {} to {}", range.start, range.end)))
        }
        None => Ok(()),
    }
}

/// A task for each run of spans with no gap between them. A change of clock or coding without missing time is no gap.
fn split(task: &ClipTask, input: &Input, gaps: &[TimeRange]) -> Result<Vec<ClipTask>, errors::Error> {
    let follows = |before: &Span, after: &Span| {
        let next = gaps.partition_point(|gap| gap.end <= before.range.end);
        gaps.get(next).is_none_or(|gap| gap.start >= after.range.start)
    };
    let runs: Vec<&[Span]> = input.spans.chunk_by(follows).collect();
    check_count(runs.len())?;
    Ok(runs.into_iter().map(|run| part_of(task, &input.sources, run, bounds(run))).collect())
}

/// The pieces of a task that gaps leave, which showed when it was read; `None` if they leave one.
///
/// # Errors
/// `Conflict` if there are too many.
pub(super) fn split_at_damage(task: &ClipTask, gaps: &[media::Gap]) -> Result<Option<Vec<ClipTask>>, errors::Error> {
    let mut ranges = Vec::new();
    let mut start = task.range.start;
    for gap in gaps {
        ranges.push(TimeRange::new(start, gap.range.start.max(start)));
        start = gap.range.end.max(start);
    }
    ranges.push(TimeRange::new(start.min(task.range.end), task.range.end));
    ranges.retain(|range| !range.is_empty());
    if ranges.len() < 2 {
        return Ok(None);
    }
    check_count(ranges.len())?;
    let bare = ClipTask { input: Input::default(), ..task.clone() };
    let part = |range: TimeRange| {
        let inside = |span: &Span| Some(Span { range: span.range.intersection(&range)?, parts: span.parts.clone() });
        let spans: Vec<Span> = task.input.spans.iter().filter_map(inside).collect();
        part_of(&bare, &task.input.sources, &spans, range)
    };
    Ok(Some(ranges.into_iter().map(part).collect()))
}

/// Whether a clip may become so many files.
///
/// # Errors
/// `Conflict` if not.
pub(super) fn check_count(files: usize) -> Result<(), errors::Error> {
    if files <= MAX_FILES {
        return Ok(());
    }
    let message = format!("gaps split the range into {files} files, more than {MAX_FILES}: choose a shorter range");
    Err(errors::Error::Conflict(message))
}

/// From the first instant of spans, which are in order, to the last.
fn bounds(spans: &[Span]) -> TimeRange {
    let range = |span: &Span| span.range;
    let (first, last) = (spans.first().map(range), spans.last().map(range));
    let nothing = TimeRange::new(WallTime::EPOCH, WallTime::EPOCH);
    TimeRange::new(first.unwrap_or(nothing).start, last.unwrap_or(nothing).end)
}

/// A task like `task`, but of another range, that reads only `spans` and names only their sources.
fn part_of(task: &ClipTask, sources: &[String], spans: &[Span], range: TimeRange) -> ClipTask {
    let mut named = Named { all: sources, kept: Vec::new(), numbers: HashMap::new() };
    let spans = spans.iter().map(|span| named.span(span)).collect();
    ClipTask { input: Input { sources: named.kept, spans }, range, ..task.clone() }
}

/// Sources of some spans of an input, numbered anew.
struct Named<'a> {
    all: &'a [String],
    kept: Vec<String>,
    numbers: HashMap<u32, u32>,
}

impl Named<'_> {
    fn span(&mut self, span: &Span) -> Span {
        Span { range: span.range, parts: span.parts.iter().map(|part| self.part(part)).collect() }
    }

    fn part(&mut self, part: &Part) -> Part {
        let mut part = part.clone();
        part.init.iter_mut().for_each(|init| self.rename(init));
        part.segments.iter_mut().for_each(|segment| self.rename(&mut segment.piece));
        if let Anchor::FirstKeyframe { piece, .. } = &mut part.anchor {
            self.rename(piece);
        }
        part
    }

    fn rename(&mut self, piece: &mut Piece) {
        let (all, kept) = (self.all, &mut self.kept);
        piece.source = *self.numbers.entry(piece.source).or_insert_with(|| {
            // A number without a name stays without one, and is refused where it is opened.
            kept.extend(all.get(piece.source as usize).cloned());
            u32::try_from(kept.len()).unwrap_or(u32::MAX).wrapping_sub(1)
        });
    }
}

/// What the files of a clip are called: `name` if there is one, else with `_1`, `_2` … before the extension.
pub fn file_names(name: &str, files: usize) -> Vec<String> {
    match files {
        1 => vec![name.to_owned()],
        _ => (1..=files).map(|number| numbered(name, number)).collect(),
    }
}

/// `clip_2.ts` of `clip.ts`.
pub(super) fn numbered(name: &str, number: usize) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => format!("{stem}_{number}.{extension}"),
        _ => format!("{name}_{number}"),
    }
}

/// Runs `work`, which blocks, where it may.
///
/// # Errors
/// What `work` says.
pub async fn blocking<T, F>(suite: &Arc<Suite>, work: F) -> Result<T, errors::Error>
where
    T: Send + 'static,
    F: FnOnce(&Arc<Suite>) -> Result<T, errors::Error> + Send + 'static,
{
    let suite = suite.clone();
    tokio::task::spawn_blocking(move || work(&suite)).await.map_err(errors::Error::internal)?
}

#[cfg(test)]
mod tests {
    use media::{
        Format, Segment,
        time::{NANOS, WallTime},
    };

    use super::*;

    fn range(from: i64, to: i64) -> TimeRange {
        TimeRange::new(WallTime::from_nanos(from * NANOS), WallTime::from_nanos(to * NANOS))
    }

    /// A span of one segment, which is source `source`.
    fn span(from: i64, to: i64, source: u32) -> Span {
        let piece = Piece { source, offset: 0, length: None };
        let segments = vec![Segment { piece, range: range(from, to) }];
        let anchor = Anchor::FirstKeyframe { piece, wall: WallTime::EPOCH };
        Span {
            range: range(from, to),
            parts: vec![Part { format: Format::MpegTs, init: None, segments, anchor, language: None }],
        }
    }

    fn input() -> Input {
        let sources = ["a", "b", "c"].map(str::to_owned).to_vec();
        Input { sources, spans: vec![span(0, 4, 0), span(4, 6, 1), span(8, 9, 2)] }
    }

    #[test]
    fn a_file_for_each_run_without_a_gap() {
        let task = ClipTask::new(Input::default(), range(0, 10));
        let parts = split(&task, &input(), &[range(6, 8), range(9, 10)]).unwrap();
        assert_eq!(parts.iter().map(|part| part.range).collect::<Vec<_>>(), [range(0, 6), range(8, 9)]);
        assert_eq!(parts[0].input.sources, ["a", "b"], "a change of clock is no gap");
        assert_eq!(parts[1].input, Input { sources: vec!["c".into()], spans: vec![span(8, 9, 0)] });
        let whole =
            split(&task, &Input { spans: vec![span(2, 3, 0)], ..input() }, &[range(0, 2), range(3, 10)]).unwrap();
        assert_eq!((whole.len(), whole[0].range), (1, range(2, 3)), "what is missing at the ends splits nothing");
    }

    #[test]
    fn damage_splits_a_file_again() {
        let task = ClipTask::new(input(), range(0, 9));
        let gap = |from, to| media::Gap { range: range(from, to), damage: Some("x".into()) };
        assert_eq!(split_at_damage(&task, &[gap(0, 1), gap(8, 9)]).unwrap(), None, "only at the ends");
        let parts = split_at_damage(&task, &[gap(3, 5)]).unwrap().unwrap();
        assert_eq!(parts.iter().map(|part| part.range).collect::<Vec<_>>(), [range(0, 3), range(5, 9)]);
        assert_eq!(parts[1].input.sources, ["b", "c"]);
        let (spans, inner) = (&parts[1].input.spans, range(5, 6));
        assert_eq!(spans.iter().map(|span| span.range).collect::<Vec<_>>(), [inner, range(8, 9)]);
    }

    #[test]
    fn there_are_not_too_many_files() {
        let many = |count: i64| Input {
            sources: vec!["a".into()],
            spans: (0..count).map(|at| span(2 * at, 2 * at + 1, 0)).collect(),
        };
        let gaps = |count: i64| (1..count).map(|at| range(2 * at - 1, 2 * at)).collect::<Vec<_>>();
        let task = ClipTask::new(Input::default(), range(0, 1_000));
        assert_eq!(split(&task, &many(100), &gaps(100)).unwrap().len(), 100);
        let refused = split(&task, &many(101), &gaps(101)).unwrap_err();
        assert!(refused.to_string().contains("101 files"), "{refused}");
    }

    #[test]
    fn files_are_numbered_if_there_are_several() {
        assert_eq!(file_names("clip.ts", 1), ["clip.ts"]);
        assert_eq!(file_names("a.b.ts", 2), ["a.b_1.ts", "a.b_2.ts"]);
        assert_eq!(numbered("clip", 3), "clip_3");
    }
}
