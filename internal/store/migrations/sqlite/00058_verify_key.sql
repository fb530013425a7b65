-- +goose Up
CREATE TABLE IF NOT EXISTS verify_key ( -- keys of others: their tokens are good here until the end
    id         BLOB NOT NULL PRIMARY KEY,
    realm_id   BLOB NOT NULL,
    kid        TEXT NOT NULL, -- empty: its tokens name none
    algorithm  TEXT NOT NULL,
    dialect    TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    audience   TEXT NOT NULL, -- empty: any
    public     BLOB NOT NULL, -- PKIX; empty for a secret
    sealed     BLOB NOT NULL, -- the secret; empty for a public key
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
