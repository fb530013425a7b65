-- +goose Up
CREATE INDEX IF NOT EXISTS writeback_next ON writeback (realm_id, next_at);
