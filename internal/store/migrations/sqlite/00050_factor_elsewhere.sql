-- +goose Up
CREATE TABLE IF NOT EXISTS factor_elsewhere ( -- accounts whose second factor a legacy server asks for
    account_id BLOB NOT NULL PRIMARY KEY,
    realm_id   BLOB NOT NULL,
    dialect    TEXT NOT NULL,
    since      INTEGER NOT NULL,
    enrols     INTEGER NOT NULL -- 1: an operator has it enrol here, and the server is not asked meanwhile
) STRICT, WITHOUT ROWID;
