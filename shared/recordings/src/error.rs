//! Why a recording, or a range of it, can't be had.

use std::{fmt, io};

use media::time::TimeRange;

/// Why a recording, or a range of it, can't be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The uid can't be the name of anything in a library.
    #[error("uid {} {reason}", excerpt(.uid))]
    InvalidUid {
        /// As it was given.
        uid: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The options of a library can't be read: says which, and why.
    #[error("{0}")]
    InvalidOptions(String),
    /// There is nothing of that name.
    #[error("there is no recording {uid:?}")]
    NotFound {
        /// The recording's uid.
        uid: String,
    },
    /// A file is damaged, is not what it is said to be, or points to where it may not.
    #[error("{name}: {reason}")]
    Unusable {
        /// The file: the recording's uid, or a playlist that it names.
        name: String,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// A file is as it should be, but of a kind that isn't read.
    #[error("{name}: {reason}")]
    Unsupported {
        /// The file: the recording's uid, or a playlist that it names.
        name: String,
        /// What isn't supported.
        reason: String,
    },
    /// Nothing of the range was recorded.
    #[error("{uid}: {} lies outside of what was recorded, {}", Shown(.asked), Shown(.recorded))]
    OutOfRange {
        /// The recording's uid.
        uid: String,
        /// The range asked for.
        asked: TimeRange,
        /// From the recording's first instant to its last.
        recorded: TimeRange,
    },
    /// The range lies inside the recording, but nothing was recorded then.
    #[error("{uid}: {} lies in a gap of the recording, {}", Shown(.asked), Shown(.gap))]
    InGap {
        /// The recording's uid.
        uid: String,
        /// The range asked for.
        asked: TimeRange,
        /// The gap that it lies in.
        gap: TimeRange,
    },
    /// A media file couldn't be probed.
    #[error("{name}: {source}")]
    Probe {
        /// The file.
        name: String,
        /// Why.
        source: media::Error,
    },
    /// The store that the library is in can't be used.
    #[error("{0}")]
    Storage(Box<storage::Error>),
    /// A file, or the library itself, couldn't be read.
    #[error("{name} can't be read: {source}")]
    Io {
        /// The file or folder.
        name: String,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn unusable(name: &str, reason: impl Into<String>) -> Self {
        Self::Unusable { name: name.into(), reason: reason.into() }
    }

    pub(crate) fn unsupported(name: &str, reason: impl Into<String>) -> Self {
        Self::Unsupported { name: name.into(), reason: reason.into() }
    }
}

impl From<Error> for errors::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidOptions(_) => Self::internal(error),
            Error::Storage(_) => Self::Unavailable { dependency: "the library", source: error.into() },
            Error::InvalidUid { .. } => Self::invalid("uid", error.to_string()),
            Error::NotFound { uid } => Self::NotFound { kind: "recording", id: uid },
            Error::Unusable { .. } | Error::Unsupported { .. } => Self::UnusableSource(error.to_string()),
            Error::OutOfRange { .. } | Error::InGap { .. } => Self::OutOfRange(error.to_string()),
            Error::Probe { ref source, .. } => match source {
                media::Error::Unusable(_)
                | media::Error::Damaged { .. }
                | media::Error::Unsupported(_)
                | media::Error::NoMedia(_)
                | media::Error::Limit(_) => Self::UnusableSource(error.to_string()),
                media::Error::Cancelled => Self::Cancelled,
                media::Error::Io(_) | media::Error::NoSpace | media::Error::Crashed(_) => {
                    Self::Unavailable { dependency: "the media process", source: error.into() }
                }
                media::Error::Verification(_) | media::Error::Internal(_) => Self::internal(error),
            },
            Error::Io { .. } => Self::Unavailable { dependency: "the library", source: error.into() },
        }
    }
}

/// How much of a text is shown in a message, in characters.
const LONGEST: usize = 160;

/// `text` quoted, and short enough for a message.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// What a parser says, which may quote what it read, short enough for a message.
pub(crate) fn shortened(message: &str) -> String {
    match message.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

struct Shown<'a>(&'a TimeRange);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.0.start, self.0.end)
    }
}

#[cfg(test)]
mod tests {
    use media::time::WallTime;

    use super::*;

    #[test]
    fn a_range_outside_is_told_with_its_times() {
        let range = |from, to| TimeRange::new(WallTime::from_nanos(from), WallTime::from_nanos(to));
        let error = Error::OutOfRange { uid: "a.mp4".into(), asked: range(5, 9), recorded: range(0, 2_000_000_000) };
        let text = error.to_string();
        assert!(text.contains("1970-01-01T00:00:00.000000005Z") && text.contains("1970-01-01T00:00:02Z"), "{text}");
        assert!(matches!(errors::Error::from(error), errors::Error::OutOfRange(_)));
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(excerpt("ü"), "\"ü\"");
        assert_eq!(excerpt(&"ü".repeat(10_000)).chars().count(), 163);
        assert_eq!(shortened(&"ü".repeat(10_000)).chars().count(), 161);
    }
}
