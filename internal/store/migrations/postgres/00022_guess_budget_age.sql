-- +goose Up
CREATE INDEX IF NOT EXISTS guess_budget_age ON guess_budget (last_at);
