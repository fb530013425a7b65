-- +goose Up
CREATE TABLE IF NOT EXISTS account (
    id             BYTEA    NOT NULL PRIMARY KEY,
    realm_id       BYTEA    NOT NULL,
    number         BIGINT NOT NULL,
    kind           TEXT COLLATE "C" NOT NULL,
    username       TEXT COLLATE "C" NOT NULL,
    email          TEXT COLLATE "C" NOT NULL,
    email_verified BIGINT NOT NULL,
    display_name   TEXT COLLATE "C" NOT NULL,
    org            TEXT COLLATE "C" NOT NULL,
    disabled       BIGINT NOT NULL,
    password_hash  TEXT COLLATE "C" NOT NULL, -- a PHC string; empty: no password
    version        BIGINT NOT NULL, -- changes with what must end earlier proofs
    origin         TEXT COLLATE "C" NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    signed_in_at   BIGINT NOT NULL
);
