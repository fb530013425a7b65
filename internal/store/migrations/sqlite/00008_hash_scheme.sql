-- +goose Up
CREATE TABLE IF NOT EXISTS hash_scheme ( -- cost classes of the stored password hashes
    realm_id BLOB NOT NULL,
    scheme   TEXT NOT NULL,
    accounts INTEGER NOT NULL, -- how many
    PRIMARY KEY (realm_id, scheme)
) STRICT, WITHOUT ROWID;
