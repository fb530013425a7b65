-- +goose Up
CREATE TABLE IF NOT EXISTS guess_running ( -- guesses that nodes have reserved and not ended
    realm_id BLOB    NOT NULL,
    subject  TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    source   TEXT    NOT NULL,
    slot     INTEGER NOT NULL, -- of time: those of older ones have ended by themselves
    running  INTEGER NOT NULL, -- begun in the slot
    earlier  INTEGER NOT NULL, -- begun in the slot before
    PRIMARY KEY (realm_id, subject, kind, source)
) STRICT, WITHOUT ROWID;
