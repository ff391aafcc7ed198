//! What a job is, and what it takes to make one.

use std::{fmt, sync::Arc, time::SystemTime};

use serde_json::Value;
use uuid::Uuid;

use crate::{Error, Progress};

/// Names that are stored: one word for each value, upper snake case.
macro_rules! stored_names {
    ($type:ty { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// The name that is stored.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            pub(crate) fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

/// Which limit a job runs under: copying wants the disk, encoding the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Packets are copied, at most a GOP here and there is encoded.
    Copy,
    /// Media is decoded and encoded.
    Encode,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Self; 2] = [Self::Copy, Self::Encode];
}

stored_names!(Lane { Copy = "COPY", Encode = "ENCODE" });

/// Where a job is in its life: queued, running (and back, for another attempt), then one of the three final states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for a free place, or for the time of another attempt.
    Queued,
    /// A worker holds its lease.
    Running,
    /// Final: the result is published.
    Succeeded,
    /// Final: see `Job::failure`.
    Failed,
    /// Final: cancelled on request, nothing was published.
    Cancelled,
}

impl State {
    /// Whether nothing follows it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

stored_names!(State {
    Queued = "QUEUED",
    Running = "RUNNING",
    Succeeded = "SUCCEEDED",
    Failed = "FAILED",
    Cancelled = "CANCELLED",
});

/// Why an attempt, or a job, failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable, upper snake case, for programs.
    pub reason: String,
    /// For people: names the thing and the value.
    pub message: String,
}

/// A job as it is at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id; what its objects are keyed by.
    pub id: Uuid,
    /// Which service's job it is.
    pub kind: String,
    /// The tenant it belongs to.
    pub owner: String,
    /// The limit it runs under.
    pub lane: Lane,
    /// Higher is started first.
    pub priority: i32,
    /// The caller's id for the request.
    pub request_id: Option<String>,
    /// What was asked for.
    pub request: Arc<Value>,
    /// What it can be looked up by.
    pub label: Option<String>,
    /// Where it is in its life.
    pub state: State,
    /// Rises with every visible change, wherever it happens. Not consecutive.
    pub revision: i64,
    /// Number of the newest attempt, 0 before the first. An attempt's objects are keyed by it.
    pub epoch: i64,
    /// How far the newest attempt has come.
    pub progress: Progress,
    /// Attempts started, but for those that a drain put back.
    pub attempts: u32,
    /// Of them, those whose media process died.
    pub crashes: u32,
    /// Of them, those whose worker died.
    pub losses: u32,
    /// Attempts that may be started in all.
    pub max_attempts: u32,
    /// Whether a cancellation was asked for.
    pub cancel_requested: bool,
    /// Why it failed: set if, and only if, it has.
    pub failure: Option<Failure>,
    /// Why the last attempt failed, while there is still hope.
    pub last_failure: Option<Failure>,
    /// What came of it: set if, and only if, it succeeded.
    pub outcome: Option<Value>,
    /// When it was accepted.
    pub created: SystemTime,
    /// When the newest attempt started.
    pub started: Option<SystemTime>,
    /// When it reached its final state.
    pub ended: Option<SystemTime>,
    /// When it is erased.
    pub expires: Option<SystemTime>,
    /// Jobs of its lane that will be started before it; 0 unless queued.
    pub queue_position: u32,
}

/// A job to be made.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Which service's job it is; a runner of the same kind does it.
    pub kind: &'static str,
    /// The tenant it belongs to. At most 256 bytes.
    pub owner: String,
    /// The limit it runs under.
    pub lane: Lane,
    /// Higher is started first, before all jobs of any owner that are lower: a service's choice, not its callers'.
    pub priority: i32,
    /// The caller's id for the request. The same id and request gives the same job. At most 256 bytes.
    pub request_id: Option<String>,
    /// What is asked for, and what a retry is compared with. At most 1 MiB as JSON.
    pub request: Value,
    /// What it can be looked up by. At most 256 bytes.
    pub label: Option<String>,
    /// Attempts that may be started in all; `Settings::max_attempts` if absent.
    pub max_attempts: Option<u32>,
}

impl NewJob {
    /// A job without request id and label, of normal priority (0).
    pub fn new(kind: &'static str, owner: impl Into<String>, lane: Lane, request: Value) -> Self {
        Self {
            kind,
            owner: owner.into(),
            lane,
            priority: 0,
            request_id: None,
            request,
            label: None,
            max_attempts: None,
        }
    }

    /// Checks sizes, and returns the request as it is stored.
    pub(crate) fn check(&self) -> Result<String, Error> {
        let short = |field, text: &str| match text.len() {
            0 => Err(Error::Invalid { field, problem: "it is empty".into() }),
            1..=MAX_NAME => Ok(()),
            length => Err(Error::Invalid { field, problem: format!("{length} bytes are more than {MAX_NAME}") }),
        };
        short("owner", &self.owner)?;
        self.request_id.as_deref().map_or(Ok(()), |id| short("request_id", id))?;
        self.label.as_deref().map_or(Ok(()), |label| short("label", label))?;
        if self.max_attempts == Some(0) {
            return Err(Error::Invalid { field: "max_attempts", problem: "0 is less than 1".into() });
        }
        let request = canonical(&self.request);
        if request.len() > MAX_REQUEST {
            let problem = format!("{} bytes are more than {MAX_REQUEST}", request.len());
            return Err(Error::Invalid { field: "request", problem });
        }
        Ok(request)
    }
}

/// An id, only as it was written when it was given out: other spellings of the same number are not known.
pub(crate) fn parse_id(id: &str) -> Option<Uuid> {
    Uuid::try_parse(id).ok().filter(|uuid| uuid.to_string() == id)
}

const MAX_NAME: usize = 256;
const MAX_REQUEST: usize = 1 << 20;

/// `value` as JSON with sorted keys. serde_json keeps the order of insertion if any crate of the build asks it to, and
/// equal requests must be equal texts all the same.
pub(crate) fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(sorted).collect(),
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                fields.into_iter().collect()
            }
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_read_back() {
        for state in [State::Queued, State::Running, State::Succeeded, State::Failed, State::Cancelled] {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
        for lane in Lane::ALL {
            assert_eq!(Lane::from_name(lane.name()), Some(lane));
        }
        assert_eq!(State::from_name("queued"), None);
    }

    #[test]
    fn order_of_keys_does_not_matter() {
        let one = json!({ "b": [{ "y": 1, "x": 2 }], "a": null });
        let two = json!({ "a": null, "b": [{ "x": 2, "y": 1 }] });
        assert_eq!(canonical(&one), canonical(&two));
        assert_eq!(canonical(&one), r#"{"a":null,"b":[{"x":2,"y":1}]}"#);
    }

    #[test]
    fn oversized_parts_are_named() {
        let job = NewJob::new("export", "me", Lane::Copy, json!({}));
        let check = |job: NewJob, field: &str| {
            let error = job.check().expect_err(field).to_string();
            assert!(error.starts_with(field), "{error}");
        };
        check(NewJob { owner: String::new(), ..job.clone() }, "owner");
        check(NewJob { request_id: Some("x".repeat(257)), ..job.clone() }, "request_id");
        check(NewJob { label: Some("x".repeat(257)), ..job.clone() }, "label");
        check(NewJob { request: json!("x".repeat(1 << 20)), ..job.clone() }, "request");
        check(NewJob { max_attempts: Some(0), ..job.clone() }, "max_attempts");
        assert_eq!(NewJob { label: Some("x".repeat(256)), ..job }.check().expect("fits"), "{}");
    }
}
