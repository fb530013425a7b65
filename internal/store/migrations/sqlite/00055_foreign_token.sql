-- +goose Up
CREATE TABLE IF NOT EXISTS foreign_token ( -- tokens that others issued and that are good here
    realm_id   BLOB NOT NULL,
    hash       BLOB NOT NULL, -- SHA-256
    account_id BLOB NOT NULL,
    dialect    TEXT NOT NULL,
    kind       TEXT NOT NULL, -- bearer, session, refresh, or jwt
    session_id BLOB, -- that it belongs to here
    key_id     BLOB, -- of verify_key, which has signed it
    created_at INTEGER NOT NULL, -- or issued, if that is known
    expires_at INTEGER NOT NULL,
    spent_at   INTEGER NOT NULL, -- 0: not yet seen
    PRIMARY KEY (realm_id, hash)
) STRICT, WITHOUT ROWID;
