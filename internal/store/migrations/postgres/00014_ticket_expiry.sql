-- +goose Up
CREATE INDEX IF NOT EXISTS ticket_expiry ON ticket (expires_at);
