-- +goose Up
CREATE TABLE IF NOT EXISTS audit_head (
    realm_id BLOB    NOT NULL PRIMARY KEY,
    seq      INTEGER NOT NULL, -- of the last entry of the realm's log
    hash     BLOB    NOT NULL, -- its hash
    seal     BLOB    NOT NULL  -- of both, by a key that is not in the database
) STRICT, WITHOUT ROWID;
