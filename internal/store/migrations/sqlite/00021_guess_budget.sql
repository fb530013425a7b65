-- +goose Up
CREATE TABLE IF NOT EXISTS guess_budget (
    realm_id BLOB    NOT NULL,
    subject  TEXT    NOT NULL, -- an account, or a hash of an unknown name
    kind     TEXT    NOT NULL,
    source   TEXT    NOT NULL,
    failures INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (realm_id, subject, kind, source)
) STRICT, WITHOUT ROWID;
