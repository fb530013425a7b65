-- +goose Up
CREATE TABLE IF NOT EXISTS totp_factor (
    account_id   BYTEA    NOT NULL PRIMARY KEY,
    realm_id     BYTEA    NOT NULL,
    secret       BYTEA    NOT NULL, -- sealed
    last_step    BIGINT NOT NULL, -- this step and earlier ones are spent
    created_at   BIGINT NOT NULL,
    confirmed_at BIGINT NOT NULL -- 0: not yet
);
