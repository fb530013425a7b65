-- +goose Up
CREATE TABLE IF NOT EXISTS account_merge ( -- what was merged, for the undo
    kept_id   BYTEA NOT NULL,
    id        BYTEA NOT NULL, -- UUIDv7
    realm_id  BYTEA NOT NULL,
    merged_id BYTEA NOT NULL,
    at        BIGINT NOT NULL,
    reset_at  BIGINT NOT NULL, -- of a new password of the account that was kept; 0: none
    undone_at BIGINT NOT NULL, -- 0: not
    before    BYTEA NOT NULL, -- what both had, sealed; empty: undone
    PRIMARY KEY (kept_id, id)
);
