-- +goose Up
CREATE TABLE IF NOT EXISTS signing_key (
    id          BYTEA    NOT NULL PRIMARY KEY,
    realm_id    BYTEA    NOT NULL,
    kid         TEXT COLLATE "C" NOT NULL UNIQUE,
    algorithm   TEXT COLLATE "C" NOT NULL,
    sealed      BYTEA    NOT NULL, -- the private key
    public      BYTEA    NOT NULL, -- PKIX
    created_at  BIGINT NOT NULL,
    signs_from  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL -- 0: no end planned
);
