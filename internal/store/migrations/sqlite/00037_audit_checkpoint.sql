-- +goose Up
CREATE TABLE IF NOT EXISTS audit_checkpoint (
    realm_id  BLOB    NOT NULL,
    seq       INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    at        INTEGER NOT NULL,
    cut       INTEGER NOT NULL, -- 1: the entries up to this one were deleted because of their age
    signature BLOB    NOT NULL,
    PRIMARY KEY (realm_id, seq)
) STRICT, WITHOUT ROWID;
