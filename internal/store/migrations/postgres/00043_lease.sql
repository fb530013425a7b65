-- +goose Up
CREATE TABLE IF NOT EXISTS lease (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder     TEXT COLLATE "C" NOT NULL, -- random, new each time it is taken
    expires_at BIGINT NOT NULL
);
