-- +goose Up
-- 00038 is in migrate_audit.go: it brings the entries of older versions into the chain.
CREATE INDEX IF NOT EXISTS audit_event_at ON audit_event (realm_id, at);
