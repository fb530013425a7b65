-- +goose Up
CREATE TABLE IF NOT EXISTS totp_factor (
    account_id   BLOB    NOT NULL PRIMARY KEY,
    realm_id     BLOB    NOT NULL,
    secret       BLOB    NOT NULL, -- sealed
    last_step    INTEGER NOT NULL, -- this step and earlier ones are spent
    created_at   INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL -- 0: not yet
) STRICT, WITHOUT ROWID;
