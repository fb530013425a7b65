-- +goose Up
CREATE INDEX IF NOT EXISTS known_source_age ON known_source (seen_at);
