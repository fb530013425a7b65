-- +goose Up
CREATE INDEX IF NOT EXISTS ticket_relay_expiry ON ticket_relay (expires_at);
