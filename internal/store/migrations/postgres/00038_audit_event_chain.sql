-- +goose Up
-- The log has been a chain from its first entry in PostgreSQL: SQLite makes it one here.
SELECT 1;
