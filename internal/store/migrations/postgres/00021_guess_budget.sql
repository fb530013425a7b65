-- +goose Up
CREATE TABLE IF NOT EXISTS guess_budget (
    realm_id BYTEA    NOT NULL,
    subject  TEXT COLLATE "C" NOT NULL, -- an account, or a hash of an unknown name
    kind     TEXT COLLATE "C" NOT NULL,
    source   TEXT COLLATE "C" NOT NULL,
    failures BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    PRIMARY KEY (realm_id, subject, kind, source)
);
