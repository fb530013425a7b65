-- +goose Up
CREATE TABLE IF NOT EXISTS account_role (
    account_id BYTEA    NOT NULL,
    role       TEXT COLLATE "C" NOT NULL,
    realm_id   BYTEA    NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, role)
);
