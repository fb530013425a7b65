-- +goose Up
CREATE TABLE IF NOT EXISTS known_source (
    account_id BLOB    NOT NULL,
    source     TEXT    NOT NULL, -- an IPv4 address or an IPv6 /64
    seen_at    INTEGER NOT NULL,
    PRIMARY KEY (account_id, source)
) STRICT, WITHOUT ROWID;
