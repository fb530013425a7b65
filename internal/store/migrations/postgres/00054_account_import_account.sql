-- +goose Up
CREATE INDEX IF NOT EXISTS account_import_account ON account_import (account_id);
