-- +goose Up
CREATE TABLE IF NOT EXISTS usage_count ( -- who uses what, by day
    realm_id BYTEA NOT NULL,
    day      BIGINT NOT NULL, -- since 1970, UTC
    dialect  TEXT COLLATE "C" NOT NULL,
    what     TEXT COLLATE "C" NOT NULL,
    client   TEXT COLLATE "C" NOT NULL,
    source   TEXT COLLATE "C" NOT NULL, -- a network address
    requests BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    PRIMARY KEY (realm_id, day, dialect, what, client, source)
);
