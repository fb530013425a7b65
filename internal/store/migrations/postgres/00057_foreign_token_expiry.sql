-- +goose Up
CREATE INDEX IF NOT EXISTS foreign_token_expiry ON foreign_token (expires_at);
