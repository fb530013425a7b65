-- +goose Up
CREATE TABLE IF NOT EXISTS writeback ( -- what is still to be told to an old system
    id         BLOB NOT NULL PRIMARY KEY, -- UUIDv7
    realm_id   BLOB NOT NULL,
    account_id BLOB NOT NULL,
    sealed     BLOB NOT NULL, -- the line
    created_at INTEGER NOT NULL,
    tries      INTEGER NOT NULL,
    next_at    INTEGER NOT NULL -- of a try
) STRICT, WITHOUT ROWID;
