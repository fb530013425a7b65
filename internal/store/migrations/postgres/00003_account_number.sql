-- +goose Up
CREATE UNIQUE INDEX IF NOT EXISTS account_number ON account (realm_id, number);
