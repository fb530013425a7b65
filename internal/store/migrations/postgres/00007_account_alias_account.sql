-- +goose Up
CREATE UNIQUE INDEX IF NOT EXISTS account_alias_account ON account_alias (account_id, dialect);
