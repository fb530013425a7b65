-- +goose Up
CREATE INDEX IF NOT EXISTS role_datasource_datasource ON role_datasource (realm_id, datasource, role);
