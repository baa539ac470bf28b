-- Documents are JSON; times are milliseconds since 1970 in UTC. An `id` is the SHA-256 of a name: names may be long, and differ in case or in
-- spaces at their end. A text of more than 512 KiB goes on in `causeway_pieces`, `more` says in how many.
-- Every statement may be run again.

CREATE TABLE IF NOT EXISTS causeway_revision (
    id       TINYINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    edit     BINARY(16) NOT NULL
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS causeway_kv (
    id    BINARY(32) NOT NULL PRIMARY KEY,
    name  TEXT NOT NULL,
    value MEDIUMTEXT NOT NULL,
    more  INT NOT NULL
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS causeway_clusters (
    id       BINARY(32) NOT NULL PRIMARY KEY,
    name     TEXT NOT NULL,
    document MEDIUMTEXT NOT NULL
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- One row per secret field; `cluster` is the id of its cluster; sealed = version, nonce, ciphertext.
CREATE TABLE IF NOT EXISTS causeway_cluster_secrets (
    id      BINARY(32) NOT NULL PRIMARY KEY,
    cluster BINARY(32) NOT NULL,
    field   TEXT NOT NULL,
    sealed  BLOB NOT NULL,
    KEY causeway_cluster_secrets_of (cluster)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS causeway_tasks (
    id       BINARY(32) NOT NULL PRIMARY KEY,
    task     TEXT NOT NULL,
    name     TEXT NOT NULL,
    document MEDIUMTEXT NOT NULL,
    state    TEXT NOT NULL
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS causeway_ledger (
    id       BINARY(32) NOT NULL PRIMARY KEY,
    route    TEXT NOT NULL,
    scope    MEDIUMTEXT NOT NULL,
    document MEDIUMTEXT NOT NULL,
    more     INT NOT NULL
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS causeway_pieces (
    id    BINARY(32) NOT NULL,
    part  INT NOT NULL,
    piece MEDIUMTEXT NOT NULL,
    PRIMARY KEY (id, part)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS causeway_events (
    id      BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    time_ms BIGINT NOT NULL,
    task    TEXT NOT NULL,
    cluster TEXT NOT NULL,
    scope   MEDIUMTEXT NOT NULL,
    record  MEDIUMTEXT NOT NULL,
    action  TEXT NOT NULL,
    reason  MEDIUMTEXT NOT NULL,
    KEY causeway_events_by_time (time_ms)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin /*T![auto_id_cache] AUTO_ID_CACHE = 1 */;

INSERT IGNORE INTO causeway_revision (id, revision, edit) VALUES (1, 0, '');
