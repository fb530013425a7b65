-- +goose Up
CREATE INDEX IF NOT EXISTS service_secret_expiry ON service_secret (expires_at);
