-- +goose Up
CREATE TABLE IF NOT EXISTS account_merge ( -- what was merged, for the undo
    kept_id   BLOB NOT NULL,
    id        BLOB NOT NULL, -- UUIDv7
    realm_id  BLOB NOT NULL,
    merged_id BLOB NOT NULL,
    at        INTEGER NOT NULL,
    reset_at  INTEGER NOT NULL, -- of a new password of the account that was kept; 0: none
    undone_at INTEGER NOT NULL, -- 0: not
    before    BLOB NOT NULL, -- what both had, sealed; empty: undone
    PRIMARY KEY (kept_id, id)
) STRICT, WITHOUT ROWID;
