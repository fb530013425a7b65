-- +goose Up
CREATE INDEX IF NOT EXISTS session_account ON session (account_id, id);
