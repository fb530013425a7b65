-- +goose Up
CREATE TABLE IF NOT EXISTS commit_mark (
    writer BYTEA  NOT NULL PRIMARY KEY, -- one that commits, of one process
    mark   BYTEA  NOT NULL, -- of its last commit
    at     BIGINT NOT NULL
);
