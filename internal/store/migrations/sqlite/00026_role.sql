-- +goose Up
CREATE TABLE IF NOT EXISTS role (
    realm_id   BLOB    NOT NULL,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (realm_id, name)
) STRICT, WITHOUT ROWID;
