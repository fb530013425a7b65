-- +goose Up
CREATE TABLE IF NOT EXISTS parity_count ( -- where a legacy server's answers and ours differ, without values
    realm_id BLOB NOT NULL,
    day      INTEGER NOT NULL, -- since 1970, UTC
    dialect  TEXT NOT NULL,
    route    TEXT NOT NULL,
    kind     TEXT NOT NULL,
    detail   TEXT NOT NULL, -- names only
    requests INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (realm_id, day, dialect, route, kind, detail)
) STRICT, WITHOUT ROWID;
