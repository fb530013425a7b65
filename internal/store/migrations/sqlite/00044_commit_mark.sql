-- +goose Up
CREATE TABLE IF NOT EXISTS commit_mark (
    writer BLOB    NOT NULL PRIMARY KEY, -- one that commits, of one process
    mark   BLOB    NOT NULL, -- of its last commit
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
