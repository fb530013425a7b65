-- +goose Up
CREATE INDEX IF NOT EXISTS session_expiry ON session (expires_at);
