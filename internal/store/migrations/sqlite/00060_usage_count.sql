-- +goose Up
CREATE TABLE IF NOT EXISTS usage_count ( -- who uses what, by day
    realm_id BLOB NOT NULL,
    day      INTEGER NOT NULL, -- since 1970, UTC
    dialect  TEXT NOT NULL,
    what     TEXT NOT NULL,
    client   TEXT NOT NULL,
    source   TEXT NOT NULL, -- a network address
    requests INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (realm_id, day, dialect, what, client, source)
) STRICT, WITHOUT ROWID;
