-- +goose Up
CREATE TABLE IF NOT EXISTS hash_scheme ( -- cost classes of the stored password hashes
    realm_id BYTEA NOT NULL,
    scheme   TEXT COLLATE "C" NOT NULL,
    accounts BIGINT NOT NULL, -- how many
    PRIMARY KEY (realm_id, scheme)
);
