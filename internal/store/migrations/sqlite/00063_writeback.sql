-- +goose Up
CREATE TABLE IF NOT EXISTS writeback ( -- what is still to be told to an old system, also of accounts that are gone
    realm_id   BLOB NOT NULL,
    account_id BLOB NOT NULL,
    seq        INTEGER NOT NULL, -- of the account's: they are told in this order
    id         BLOB NOT NULL, -- UUIDv7, by which it is known if it is told twice
    sealed     BLOB NOT NULL, -- the line
    created_at INTEGER NOT NULL,
    tries      INTEGER NOT NULL,
    next_at    INTEGER NOT NULL, -- of a try
    PRIMARY KEY (realm_id, account_id, seq)
) STRICT, WITHOUT ROWID;
