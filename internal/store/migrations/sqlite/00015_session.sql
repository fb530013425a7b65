-- +goose Up
CREATE TABLE IF NOT EXISTS session (
    id           BLOB    NOT NULL PRIMARY KEY,
    realm_id     BLOB    NOT NULL,
    account_id   BLOB    NOT NULL,
    dialect      TEXT    NOT NULL,
    amr          TEXT    NOT NULL, -- separated by spaces
    auth_time    INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    idle_at      INTEGER NOT NULL, -- ends here unless used; 0: no idle limit
    expires_at   INTEGER NOT NULL,
    ended_at     INTEGER NOT NULL, -- 0: alive
    end_reason   TEXT    NOT NULL,
    address      TEXT    NOT NULL,
    user_agent   TEXT    NOT NULL,
    bearer_hash  BLOB,             -- SHA-256 of the opaque token
    generation   INTEGER NOT NULL, -- of the refresh token that is good now
    rotated_at   INTEGER NOT NULL, -- when the one before it was spent
    audience     TEXT    NOT NULL  -- of the mount where it was opened
) STRICT, WITHOUT ROWID;
