-- +goose Up
CREATE TABLE IF NOT EXISTS signing_key (
    id          BLOB    NOT NULL PRIMARY KEY,
    realm_id    BLOB    NOT NULL,
    kid         TEXT    NOT NULL UNIQUE,
    algorithm   TEXT    NOT NULL,
    sealed      BLOB    NOT NULL, -- the private key
    public      BLOB    NOT NULL, -- PKIX
    created_at  INTEGER NOT NULL,
    signs_from  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL -- 0: no end planned
) STRICT, WITHOUT ROWID;
