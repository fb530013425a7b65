-- +goose Up
CREATE INDEX IF NOT EXISTS account_role_role ON account_role (realm_id, role, account_id);
