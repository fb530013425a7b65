-- +goose Up
CREATE TABLE IF NOT EXISTS role_datasource ( -- what a role opens
    realm_id   BYTEA    NOT NULL,
    role       TEXT COLLATE "C" NOT NULL,
    datasource TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm_id, role, datasource)
);
