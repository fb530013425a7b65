-- +goose Up
CREATE INDEX IF NOT EXISTS source_name_account ON source_name (account_id);
