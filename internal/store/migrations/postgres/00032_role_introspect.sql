-- +goose Up
INSERT INTO role (realm_id, name, created_at) SELECT id, 'ostiary:introspect', created_at FROM realm WHERE true ON CONFLICT DO NOTHING;
