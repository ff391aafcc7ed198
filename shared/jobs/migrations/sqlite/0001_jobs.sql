-- Work that outlives its request. Times are nanoseconds since 1970-01-01 UTC, flags are 0 or 1, JSON is text.
CREATE TABLE jobs (
    seq              INTEGER PRIMARY KEY AUTOINCREMENT, -- order of acceptance, never used twice
    id               TEXT    NOT NULL UNIQUE,           -- UUIDv7, hyphenated
    kind             TEXT    NOT NULL,                  -- which service's: export, dvr_export
    owner            TEXT    NOT NULL,                  -- the tenant
    lane             TEXT    NOT NULL,                  -- COPY, ENCODE
    priority         INTEGER NOT NULL,                  -- higher first
    turn             INTEGER NOT NULL,                  -- which of its owner's jobs this was; makes owners take turns
    request_id       TEXT,                              -- the caller's; a retry with it finds this job
    request          TEXT    NOT NULL,                  -- JSON with sorted keys; equal requests are equal texts
    label            TEXT,                              -- what jobs can be looked up by: an asset
    state            TEXT    NOT NULL,                  -- QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED
    revision         INTEGER NOT NULL,                  -- rises with every visible change
    epoch            INTEGER NOT NULL DEFAULT 0,        -- number of the newest attempt; fences all others out
    attempts         INTEGER NOT NULL DEFAULT 0,        -- attempts that count; one put back by a drain doesn't
    crashes          INTEGER NOT NULL DEFAULT 0,        -- of them, those whose media process died
    losses           INTEGER NOT NULL DEFAULT 0,        -- of them, those whose worker died
    max_attempts     INTEGER NOT NULL,
    run_at           INTEGER NOT NULL,                  -- queued: not before this
    worker           TEXT,                              -- running: which process has it; for people
    lease_until      INTEGER NOT NULL DEFAULT 0,        -- running: anyone may rescue it after this
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    erased           INTEGER NOT NULL DEFAULT 0,        -- gone for callers; its objects, then the row, are swept
    discarded        INTEGER NOT NULL DEFAULT 0,        -- no attempt up to this one left objects behind
    progress         TEXT    NOT NULL,                  -- JSON, of the newest attempt
    failure_reason   TEXT,                              -- of the last attempt that failed
    failure_message  TEXT,
    outcome          TEXT,                              -- JSON; set if, and only if, succeeded
    created_at       INTEGER NOT NULL,
    started_at       INTEGER,                           -- the newest attempt
    ended_at         INTEGER,
    expires_at       INTEGER                            -- erased after this
) STRICT;

-- One job for one request id. Rows without one (NULL) are all different.
CREATE UNIQUE INDEX jobs_request ON jobs (kind, owner, request_id);

-- Partial: what is still to do stays small, however much is done. The first is the order of claiming.
CREATE INDEX jobs_queued ON jobs (lane, priority DESC, turn, seq) WHERE state = 'QUEUED';
CREATE INDEX jobs_queued_owner ON jobs (owner, lane, priority, turn) WHERE state = 'QUEUED';
CREATE INDEX jobs_running ON jobs (owner) WHERE state = 'RUNNING';

-- Pages, newest first.
CREATE INDEX jobs_listed ON jobs (kind, owner, seq);
CREATE INDEX jobs_listed_state ON jobs (kind, owner, state, seq);
CREATE INDEX jobs_listed_label ON jobs (kind, owner, label, seq) WHERE label IS NOT NULL;

-- What the sweep looks for.
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL AND erased = 0;
CREATE INDEX jobs_erased ON jobs (seq) WHERE erased = 1;
CREATE INDEX jobs_littering ON jobs (seq) WHERE discarded < epoch;

-- Random keys made at the first start, the same for all replicas.
CREATE TABLE job_keys (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;
