-- +goose Up
CREATE TABLE IF NOT EXISTS verify_key ( -- keys of others: their tokens are good here until the end
    id         BYTEA NOT NULL PRIMARY KEY,
    realm_id   BYTEA NOT NULL,
    kid        TEXT COLLATE "C" NOT NULL, -- empty: its tokens name none
    algorithm  TEXT COLLATE "C" NOT NULL,
    dialect    TEXT COLLATE "C" NOT NULL,
    issuer     TEXT COLLATE "C" NOT NULL,
    audience   TEXT COLLATE "C" NOT NULL, -- empty: any
    public     BYTEA NOT NULL, -- PKIX; empty for a secret
    sealed     BYTEA NOT NULL, -- the secret; empty for a public key
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
