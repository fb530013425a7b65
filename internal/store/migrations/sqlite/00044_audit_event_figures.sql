-- +goose Up
-- Without figures about the table, SQLite reads all entries of a realm for those of an
-- account. These are of a large log: entries in all, in a realm, and of an account.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('audit_event', 'audit_event', '1000000 1000000 1'),
    ('audit_event', 'audit_event_at', '1000000 1000000 2'),
    ('audit_event', 'audit_event_account', '900000 900000 900 1');
ANALYZE sqlite_schema;
