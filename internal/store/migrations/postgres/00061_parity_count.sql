-- +goose Up
CREATE TABLE IF NOT EXISTS parity_count ( -- where a legacy server's answers and ours differ, without values
    realm_id BYTEA NOT NULL,
    day      BIGINT NOT NULL, -- since 1970, UTC
    dialect  TEXT COLLATE "C" NOT NULL,
    route    TEXT COLLATE "C" NOT NULL,
    kind     TEXT COLLATE "C" NOT NULL,
    detail   TEXT COLLATE "C" NOT NULL, -- names only
    requests BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    PRIMARY KEY (realm_id, day, dialect, route, kind, detail)
);
