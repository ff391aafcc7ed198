//! A case of the matrix, and what comes of it.

use std::{fmt, path::PathBuf, str::FromStr};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    harness::{Server, spec, state},
    sample::Sample,
};
use protocol::{
    export::v1::{Container, CreateExportRequest, Export, ExportPlan, ExportSpec},
    job::v1::JobState,
};
use tonic::Code;

use super::checks;

/// What is cut how. Its text replays it.
pub(super) struct Case {
    pub(super) sample: String,
    container: Container,
    /// Milliseconds from frame 0.
    mark: u64,
    /// Milliseconds.
    duration: u64,
}

/// A case whose sample is there.
pub(super) struct Window {
    pub(super) sample: Sample,
    pub(super) container: Container,
    pub(super) mark: u64,
    pub(super) duration: u64,
}

/// How a case ended well.
pub(super) enum Outcome {
    /// Copied but for the edges, and everything held.
    Cut,
    /// Encoded as a whole, as the plan said, and everything held.
    Encoded,
    /// The plan said no, and why.
    Refused(Code),
    /// There is nothing in the window, and that was said.
    Nothing,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("cut"),
            Self::Encoded => f.write_str("encoded"),
            Self::Refused(code) => write!(f, "refused with {code:?}"),
            Self::Nothing => f.write_str("nothing there"),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let container = self.container.as_str_name().trim_start_matches("CONTAINER_").to_lowercase();
        write!(f, "{} {container} {} {}", self.sample, self.mark, self.duration)
    }
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let [sample, container, mark, duration] = line.split(' ').collect::<Vec<_>>()[..] else { bail!("{line:?}") };
        let container = Container::from_str_name(&format!("CONTAINER_{}", container.to_uppercase()));
        let container = container.context("it is ts, mov or mp4")?;
        Ok(Self { sample: sample.to_owned(), container, mark: mark.parse()?, duration: duration.parse()? })
    }
}

impl Case {
    /// A window of any of these samples.
    pub(super) fn random(random: &mut fastrand::Rng, samples: &[String]) -> Self {
        let longest = [200, 3_000, 8_000][random.usize(..3)];
        let duration = random.u64(40..longest);
        let container = [Container::Ts, Container::Mov, Container::Mp4][random.usize(..3)];
        let sample = samples[random.usize(..samples.len())].clone();
        Self { sample, container, mark: random.u64(..9_800 - duration), duration }
    }

    /// The name of a sample. Each layout and each coding is as likely as the next; half of all have AAC.
    pub(super) fn sample(random: &mut fastrand::Rng, names: &[String]) -> String {
        let part = |name: &str, at: usize| name.split('/').nth(at).unwrap_or_default().to_owned();
        let mut left: Vec<_> = names.iter().filter(|name| random.bool() || part(name, 2) == "aac").collect();
        for at in [random.usize(..2), 0, 1, 2] {
            let mut choices: Vec<_> = left.iter().map(|name| part(name, at)).collect();
            choices.sort_unstable();
            choices.dedup();
            let choice = &choices[random.usize(..choices.len())];
            left.retain(|name| part(name, at) == *choice);
        }
        left[0].clone()
    }

    /// The window, moved so that no mark falls on a frame whose time the layout doesn't know well.
    pub(super) fn window(&self, sample: &Sample) -> Window {
        let is_clear = |mark: u64| {
            let mark = mark as i64 * 1_000_000;
            sample.shown.iter().all(|(_, time)| sample.precision == 0 || (time - mark).abs() > 2 * sample.precision)
        };
        let clear = |from: u64| (from..from + 100).find(|mark| is_clear(*mark)).unwrap_or(from);
        let mark = clear(self.mark);
        let end = clear(self.mark + self.duration).max(mark + 1);
        Window { sample: sample.clone(), container: self.container, mark, duration: end - mark }
    }
}

impl Window {
    /// The frames that belong to it, and when they are shown in the recording.
    pub(super) fn frames(&self) -> Vec<(u32, i64)> {
        let nanos = |millis: u64| millis as i64 * 1_000_000;
        self.sample.frames_in(nanos(self.mark)..nanos(self.mark + self.duration))
    }

    /// Codecs that the suite promises to cut smartly.
    pub(super) fn is_smart(&self) -> bool {
        self.sample.coding.starts_with("h264") || self.sample.coding.starts_with("hevc")
    }

    /// Whether a plan can only estimate how many frames there are: without their times, or where a clock jumps and it isn't
    /// known which of the leading pictures can be shown.
    fn is_estimated(&self) -> bool {
        self.sample.coding.ends_with("_vfr") || self.sample.layout == "hls_jump" && !self.sample.closed
    }

    fn spec(&self) -> ExportSpec {
        let spec = spec(&self.sample.uid(), self.mark, self.duration);
        ExportSpec { container: self.container.into(), ..spec }
    }
}

/// Asks for the plan, then for the export, and looks at what comes out.
pub(super) async fn run(server: &Server, window: Window) -> Result<Outcome> {
    let request = CreateExportRequest { spec: Some(window.spec()), validate_only: true, ..Default::default() };
    let plan = match server.client().create_export(request).await {
        Ok(answer) => answer.into_inner().plan.context("validate_only returns the plan")?,
        Err(status) => {
            if window.frames().is_empty() && matches!(status.code(), Code::OutOfRange | Code::FailedPrecondition) {
                return Ok(Outcome::Nothing);
            }
            let is_told = matches!(
                status.code(),
                Code::FailedPrecondition | Code::InvalidArgument | Code::Unimplemented | Code::OutOfRange
            );
            ensure!(is_told && !window.is_smart(), "refused: {:?} {}", status.code(), status.message());
            return Ok(Outcome::Refused(status.code()));
        }
    };
    let export = server.export(window.spec()).await;
    let failure = export.status.as_ref().and_then(|status| status.failure.as_ref());
    ensure!(state(&export) == JobState::Succeeded, "accepted, but failed: {failure:?}");
    let result = export.result.clone().context("it has succeeded")?;
    same(&plan, &result, window.is_estimated())?;
    ensure!(!window.frames().is_empty(), "there are no frames in the window, but an export of {}", result.frames);
    let path = fetch(server, &export).await?;
    let outcome = if result.encoded_frames == result.frames { Outcome::Encoded } else { Outcome::Cut };
    let checked = tokio::task::spawn_blocking(move || {
        let found = checks::all(&path, &window, &result);
        std::fs::remove_file(&path)?;
        found
    });
    checked.await??;
    Ok(outcome)
}

async fn fetch(server: &Server, export: &Export) -> Result<PathBuf> {
    let file = export.file.as_ref().context("it has a file")?;
    let path = server.scratch().join(&file.name);
    std::fs::write(&path, server.download(&export.id, 0).await?)?;
    Ok(path)
}

/// What was planned is what was done. Fates and gaps are never estimates; warnings count what is encoded.
fn same(plan: &ExportPlan, result: &ExportPlan, is_estimated: bool) -> Result<()> {
    let fates = |plan: &ExportPlan| -> Vec<_> {
        plan.tracks.iter().map(|track| (track.kind.clone(), track.codec.clone(), track.fate())).collect()
    };
    ensure!(fates(plan) == fates(result), "planned {:?}, done {:?}", fates(plan), fates(result));
    ensure!(plan.gaps.len() == result.gaps.len(), "planned {:?}, done {:?}", plan.gaps, result.gaps);
    if is_estimated {
        ensure!(
            plan.warnings.len() == result.warnings.len(),
            "planned {:?}, done {:?}",
            plan.warnings,
            result.warnings
        );
        return Ok(());
    }
    let counts = |plan: &ExportPlan| (plan.frames, plan.encoded_frames);
    ensure!(
        counts(plan) == counts(result),
        "planned {:?} frames and encoded ones, done {:?}",
        counts(plan),
        counts(result)
    );
    Ok(())
}
