-- +goose Up
CREATE INDEX IF NOT EXISTS account_alias_subject ON account_alias (realm_id, subject, dialect, account_id); -- a number must be nobody's in any dialect
