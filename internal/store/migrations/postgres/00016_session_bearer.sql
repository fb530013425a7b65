-- +goose Up
CREATE UNIQUE INDEX IF NOT EXISTS session_bearer ON session (bearer_hash) WHERE bearer_hash IS NOT NULL;
