-- +goose Up
CREATE TABLE IF NOT EXISTS audit_checkpoint (
    realm_id  BYTEA    NOT NULL,
    seq       BIGINT NOT NULL,
    hash      BYTEA    NOT NULL,
    at        BIGINT NOT NULL,
    cut       BIGINT NOT NULL, -- 1: the entries up to this one were deleted because of their age
    signature BYTEA    NOT NULL,
    PRIMARY KEY (realm_id, seq)
);
