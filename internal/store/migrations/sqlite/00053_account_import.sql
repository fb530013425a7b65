-- +goose Up
CREATE TABLE IF NOT EXISTS account_import ( -- lines that were imported, so that none is twice
    realm_id    BLOB NOT NULL,
    digest      BLOB NOT NULL, -- SHA-256 of the line's members
    account_id  BLOB NOT NULL,
    source      TEXT NOT NULL, -- a dialect, or empty
    imported_at INTEGER NOT NULL,
    PRIMARY KEY (realm_id, digest)
) STRICT, WITHOUT ROWID;
