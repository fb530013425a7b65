-- +goose Up
CREATE INDEX IF NOT EXISTS foreign_token_key ON foreign_token (key_id);
