-- +goose Up
CREATE TABLE IF NOT EXISTS role_datasource ( -- what a role opens
    realm_id   BLOB    NOT NULL,
    role       TEXT    NOT NULL,
    datasource TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (realm_id, role, datasource)
) STRICT, WITHOUT ROWID;
