-- +goose Up
CREATE TABLE IF NOT EXISTS audit_event (
    realm_id   BYTEA    NOT NULL,
    seq        BIGINT NOT NULL, -- 1, 2, 3… in each realm
    id         BYTEA    NOT NULL, -- UUIDv7
    at         BIGINT NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    account_id BYTEA,
    session_id BYTEA,
    dialect    TEXT COLLATE "C" NOT NULL,
    address    TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL, -- the operator; empty: the account itself
    token      TEXT COLLATE "C" NOT NULL, -- of the token concerned, the first 8 digits of its hash
    detail     TEXT COLLATE "C" NOT NULL,
    hash       BYTEA    NOT NULL, -- of this and of the hash before
    PRIMARY KEY (realm_id, seq)
);
