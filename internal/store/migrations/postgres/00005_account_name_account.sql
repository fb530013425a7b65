-- +goose Up
CREATE INDEX IF NOT EXISTS account_name_account ON account_name (account_id);
