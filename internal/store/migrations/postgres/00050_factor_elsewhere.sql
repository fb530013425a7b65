-- +goose Up
CREATE TABLE IF NOT EXISTS factor_elsewhere ( -- accounts whose second factor a legacy server asks for
    account_id BYTEA NOT NULL PRIMARY KEY,
    realm_id   BYTEA NOT NULL,
    dialect    TEXT COLLATE "C" NOT NULL,
    since      BIGINT NOT NULL,
    enrols     BIGINT NOT NULL -- 1: an operator has it enrol here, and the server is not asked meanwhile
);
