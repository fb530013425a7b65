-- +goose Up
CREATE INDEX IF NOT EXISTS foreign_token_account ON foreign_token (account_id);
