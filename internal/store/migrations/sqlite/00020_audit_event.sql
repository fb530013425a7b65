-- +goose Up
CREATE TABLE IF NOT EXISTS audit_event (
    realm_id   BLOB    NOT NULL,
    id         BLOB    NOT NULL, -- UUIDv7: in the order of time
    at         INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    account_id BLOB,
    session_id BLOB,
    dialect    TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    request_id TEXT    NOT NULL,
    actor      TEXT    NOT NULL, -- the operator; empty: the account itself
    detail     TEXT    NOT NULL,
    PRIMARY KEY (realm_id, id)
) STRICT, WITHOUT ROWID;
