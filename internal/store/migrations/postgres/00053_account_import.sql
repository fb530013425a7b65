-- +goose Up
CREATE TABLE IF NOT EXISTS account_import ( -- lines that were imported, so that none is twice
    realm_id    BYTEA NOT NULL,
    digest      BYTEA NOT NULL, -- SHA-256 of the line's members
    account_id  BYTEA NOT NULL,
    source      TEXT COLLATE "C" NOT NULL, -- a dialect, or empty
    imported_at BIGINT NOT NULL,
    PRIMARY KEY (realm_id, digest)
);
