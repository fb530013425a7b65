-- +goose Up
CREATE TABLE IF NOT EXISTS guess_running ( -- guesses that nodes have reserved and not ended
    realm_id BYTEA  NOT NULL,
    subject  TEXT COLLATE "C" NOT NULL,
    kind     TEXT COLLATE "C" NOT NULL,
    source   TEXT COLLATE "C" NOT NULL,
    slot     BIGINT NOT NULL, -- of time: those of older ones have ended by themselves
    running  BIGINT NOT NULL, -- begun in the slot
    earlier  BIGINT NOT NULL, -- begun in the slot before
    PRIMARY KEY (realm_id, subject, kind, source)
);
