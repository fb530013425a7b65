-- +goose Up
CREATE TABLE IF NOT EXISTS known_source (
    account_id BYTEA    NOT NULL,
    source     TEXT COLLATE "C" NOT NULL, -- an IPv4 address or an IPv6 /64
    seen_at    BIGINT NOT NULL,
    PRIMARY KEY (account_id, source)
);
