-- +goose Up
CREATE TABLE IF NOT EXISTS account_merge ( -- what was merged, for the undo
    id        BLOB NOT NULL PRIMARY KEY,
    realm_id  BLOB NOT NULL,
    kept_id   BLOB NOT NULL,
    merged_id BLOB NOT NULL,
    at        INTEGER NOT NULL,
    undone_at INTEGER NOT NULL, -- 0: not
    before    BLOB NOT NULL -- what both had, sealed
) STRICT, WITHOUT ROWID;
