-- +goose Up
CREATE TABLE IF NOT EXISTS account (
    id             BLOB    NOT NULL PRIMARY KEY,
    realm_id       BLOB    NOT NULL,
    number         INTEGER NOT NULL,
    kind           TEXT    NOT NULL,
    username       TEXT    NOT NULL,
    email          TEXT    NOT NULL,
    email_verified INTEGER NOT NULL,
    display_name   TEXT    NOT NULL,
    org            TEXT    NOT NULL,
    disabled       INTEGER NOT NULL,
    password_hash  TEXT    NOT NULL, -- a PHC string; empty: no password
    version        INTEGER NOT NULL, -- changes with what must end earlier proofs
    origin         TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    signed_in_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
