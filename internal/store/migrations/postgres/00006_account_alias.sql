-- +goose Up
CREATE TABLE IF NOT EXISTS account_alias (
    realm_id   BYTEA NOT NULL,
    dialect    TEXT COLLATE "C" NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,
    account_id BYTEA NOT NULL,
    PRIMARY KEY (realm_id, dialect, subject)
);
