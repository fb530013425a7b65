-- +goose Up
CREATE INDEX IF NOT EXISTS service_secret_account ON service_secret (account_id);
