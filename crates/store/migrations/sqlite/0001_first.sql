-- Documents are JSON; times are milliseconds since 1970 in UTC.

CREATE TABLE kv (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE clusters (
    name     TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;

-- One row per secret field; sealed = version, nonce, ciphertext.
CREATE TABLE cluster_secrets (
    cluster TEXT NOT NULL,
    field   TEXT NOT NULL,
    sealed  BLOB NOT NULL,
    PRIMARY KEY (cluster, field)
) STRICT;

CREATE TABLE tasks (
    id       TEXT NOT NULL PRIMARY KEY,
    name     TEXT NOT NULL,
    document TEXT NOT NULL,
    state    TEXT NOT NULL,
    reason   TEXT NOT NULL
) STRICT;

CREATE TABLE ledger (
    route    TEXT NOT NULL,
    scope    TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (route, scope)
) STRICT;

CREATE TABLE events (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ms INTEGER NOT NULL,
    task    TEXT NOT NULL,
    cluster TEXT NOT NULL,
    scope   TEXT NOT NULL,
    record  TEXT NOT NULL,
    action  TEXT NOT NULL,
    reason  TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_time ON events (time_ms);
