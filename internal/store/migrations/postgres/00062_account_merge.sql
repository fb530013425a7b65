-- +goose Up
CREATE TABLE IF NOT EXISTS account_merge ( -- what was merged, for the undo
    id        BYTEA NOT NULL PRIMARY KEY,
    realm_id  BYTEA NOT NULL,
    kept_id   BYTEA NOT NULL,
    merged_id BYTEA NOT NULL,
    at        BIGINT NOT NULL,
    undone_at BIGINT NOT NULL, -- 0: not
    before    BYTEA NOT NULL -- what both had, sealed
);
