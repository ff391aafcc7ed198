//! What can be typed.

mod choices;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use prost_types::Timestamp;

pub(crate) use choices::{Codec, Compatibility, Container, Cut, Damage, Fallback, Gaps, State};

use crate::{
    serve::ServeCommand,
    units::{parse_instant, parse_length},
};

/// Cuts clips and stills out of recorded video: the services, and a client for them.
///
/// On a terminal the client draws progress bars and prints for people. Elsewhere, and with --json, it prints one JSON
/// object per line: each has a "type" (export, plan, download, thumbnail, deleted, source, coverage). Errors go to standard error. Exit
/// codes: 0 done; 1 refused or failed; 2 not understood; 130 interrupted (work on the server goes on).
#[derive(Debug, Parser)]
#[command(name = "excerpt", version)]
pub(crate) struct Cli {
    /// Where the service is.
    #[arg(long, global = true, env = "EXCERPT_SERVER", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    pub(crate) server: String,
    /// The caller's key, if the server wants one.
    #[arg(long, global = true, env = "EXCERPT_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub(crate) api_key: Option<String>,
    /// Print JSON lines even on a terminal.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the services.
    Serve(ServeCommand),
    #[command(flatten)]
    Call(Call),
}

/// What to do as a client.
#[derive(Debug, Subcommand)]
pub(crate) enum Call {
    /// Export a clip of a recording, and watch it being made.
    Export(ExportArgs),
    /// Watch an export until it has ended.
    Watch(Id),
    /// Show an export.
    Get(Id),
    /// List exports, newest first.
    List(ListArgs),
    /// Stop an export.
    Cancel(Id),
    /// Erase an export and its file.
    Delete(Id),
    /// Fetch the files of an export; what was fetched earlier is not fetched again.
    Download(DownloadArgs),
    /// Fetch one frame of a recording as a JPEG.
    Thumbnail(ThumbnailArgs),
    /// List the recordings in the server's library.
    Sources(SourcesArgs),
    /// Show what of a recording there is, and what is missing.
    Coverage(CoverageArgs),
}

/// Asks for recordings.
#[derive(Debug, Args)]
pub(crate) struct SourcesArgs {
    /// Only those in this folder of the library, and below. Default: all.
    #[arg(default_value = "")]
    pub(crate) folder: String,
    /// At most this many.
    #[arg(long, default_value_t = 1000)]
    pub(crate) limit: usize,
}

/// Asks what of a recording there is.
#[derive(Debug, Args)]
pub(crate) struct CoverageArgs {
    /// The recording: a path in the server's library.
    pub(crate) uid: String,
    /// Only what lies at or after this instant: RFC 3339, or milliseconds since 1970. Default: the recording's start.
    #[arg(long, value_parser = parse_instant, allow_negative_numbers = true, value_name = "TIME")]
    pub(crate) from: Option<Timestamp>,
    /// Only what lies before this instant. Default: the recording's end.
    #[arg(long, value_parser = parse_instant, allow_negative_numbers = true, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// Which rendition of it. Default: the best.
    #[arg(long, value_name = "NAME")]
    pub(crate) rendition: Option<String>,
}

/// Names an export.
#[derive(Debug, Args)]
pub(crate) struct Id {
    /// The export's id.
    pub(crate) id: String,
}

/// Where in which recording.
#[derive(Debug, Args)]
pub(crate) struct Position {
    /// The recording: a path in the server's library, of a manifest (.mpd, .m3u8) or a media file.
    pub(crate) uid: String,
    /// When the video starts that --mark counts from: RFC 3339, or milliseconds since 1970. Default: the recording's start.
    #[arg(long, value_parser = parse_instant, allow_negative_numbers = true, value_name = "TIME")]
    pub(crate) start: Option<Timestamp>,
    /// Position in the video: 01:00, 00:01:00.500, 60s, or milliseconds. Default: 0.
    #[arg(long, value_parser = parse_length, value_name = "LENGTH")]
    pub(crate) mark: Option<Duration>,
}

/// Asks for a clip.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) position: Position,
    /// Length of the clip: 128s, 2m8s, 00:02:08, or milliseconds.
    #[arg(long, value_parser = parse_length, value_name = "LENGTH")]
    pub(crate) duration: Duration,
    /// How exact the ends are. Default: exact.
    #[arg(long, value_enum)]
    pub(crate) cut: Option<Cut>,
    /// File format. Default: ts.
    #[arg(long, value_enum)]
    pub(crate) container: Option<Container>,
    /// What becomes of the video. Default: keep.
    #[arg(long, value_enum)]
    pub(crate) codec: Option<Codec>,
    /// What becomes of gaps in the recording. Default: skip.
    #[arg(long, value_enum)]
    pub(crate) gaps: Option<Gaps>,
    /// What to do about damage in the recording. Default: lenient.
    #[arg(long, value_enum)]
    pub(crate) damage: Option<Damage>,
    /// Who must be able to play the clip. Default: keep.
    #[arg(long, value_enum)]
    pub(crate) compatibility: Option<Compatibility>,
    /// What to do where an exact cut can't be done by copying. Default: encode.
    #[arg(long, value_enum)]
    pub(crate) fallback: Option<Fallback>,
    /// Which rendition of the recording to cut: its name or id, its height (720p), or its bandwidth. Default: the best.
    #[arg(long, value_name = "NAME")]
    pub(crate) rendition: Option<String>,
    /// Name of the file. Default: made of the recording's name and the position.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Makes it safe to repeat this command: the same id is the same export. Default: a new one.
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// Only show what would be done.
    #[arg(long, conflicts_with_all = ["download", "no_watch"])]
    pub(crate) plan: bool,
    /// When it is done, fetch the file, or all files, into this folder.
    #[arg(long, conflicts_with = "no_watch", value_name = "FOLDER")]
    pub(crate) download: Option<PathBuf>,
    /// Return as soon as the export is accepted.
    #[arg(long)]
    pub(crate) no_watch: bool,
}

/// Asks for a list.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only exports in this state.
    #[arg(long, value_enum)]
    pub(crate) state: Option<State>,
    /// At most this many.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
}

/// Asks for a file.
#[derive(Debug, Args)]
pub(crate) struct DownloadArgs {
    /// The export's id.
    pub(crate) id: String,
    /// Where to write it, if there is one only. Default: the files' own names, here.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Asks for a picture.
#[derive(Debug, Args)]
pub(crate) struct ThumbnailArgs {
    #[command(flatten)]
    pub(crate) position: Position,
    /// Height in pixels. Default: the video's.
    #[arg(long, value_parser = clap::value_parser!(i32).range(16..=4320))]
    pub(crate) height: Option<i32>,
    /// Where to write it.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use protocol::export::v1;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_export_as_one_types_it() {
        let line = "excerpt export news/stream.mpd --start 1578344206261 --mark 01:00 --duration 128s --cut edit-list \
                    --container mov --codec h265 --gaps split --damage strict --fallback keyframe --download out --api-key k";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        assert_eq!((cli.server.as_str(), cli.api_key.as_deref()), ("http://127.0.0.1:50051", Some("k")));
        let Command::Call(Call::Export(export)) = cli.command else { panic!("{:?}", cli.command) };
        assert_eq!(export.position.mark, Some(Duration::from_secs(60)));
        assert_eq!(export.duration, Duration::from_secs(128));
        assert_eq!(v1::Cut::from(export.cut.unwrap()), v1::Cut::EditList);
        assert_eq!(v1::GapPolicy::from(export.gaps.unwrap()), v1::GapPolicy::Split);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "export a --duration 1s --plan --download d",
            "export a",
            "thumbnail a",
            "thumbnail a -o x --height 8",
            "coverage",
            "coverage a --from yesterday",
            "sources a b",
        ] {
            assert!(Cli::try_parse_from(["excerpt"].into_iter().chain(line.split(' '))).is_err(), "{line}");
        }
    }
}
