-- +goose Up
CREATE TABLE IF NOT EXISTS password_history (
    account_id  BYTEA    NOT NULL,
    seq         BIGINT NOT NULL, -- 1, 2, 3 … of the account
    realm_id    BYTEA    NOT NULL,
    hash        TEXT COLLATE "C" NOT NULL, -- a PHC string
    replaced_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, seq)
);
