-- +goose Up
CREATE TABLE IF NOT EXISTS role (
    realm_id   BYTEA    NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm_id, name)
);
