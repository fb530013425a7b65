-- +goose Up
CREATE INDEX IF NOT EXISTS account_realm ON account (realm_id, id);
