-- +goose Up
CREATE TABLE IF NOT EXISTS foreign_token ( -- tokens that others issued and that are good here
    hash       BYTEA NOT NULL PRIMARY KEY, -- SHA-256
    realm_id   BYTEA NOT NULL,
    account_id BYTEA NOT NULL,
    dialect    TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL, -- bearer, session, or refresh
    session_id BYTEA, -- that it belongs to here
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    spent_at   BIGINT NOT NULL -- 0: not yet
);
