-- +goose Up
CREATE TABLE IF NOT EXISTS foreign_token ( -- tokens that others issued and that are good here
    realm_id   BYTEA NOT NULL,
    hash       BYTEA NOT NULL, -- SHA-256
    account_id BYTEA NOT NULL,
    dialect    TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL, -- bearer, session, refresh, or jwt
    session_id BYTEA, -- that it belongs to here
    key_id     BYTEA, -- of verify_key, which has signed it
    created_at BIGINT NOT NULL, -- or issued, if that is known
    expires_at BIGINT NOT NULL,
    spent_at   BIGINT NOT NULL, -- 0: not yet seen
    PRIMARY KEY (realm_id, hash)
);
