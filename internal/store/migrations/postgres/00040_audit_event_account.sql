-- +goose Up
CREATE INDEX IF NOT EXISTS audit_event_account ON audit_event (account_id, seq) WHERE account_id IS NOT NULL;
