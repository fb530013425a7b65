-- +goose Up
CREATE TABLE IF NOT EXISTS session (
    id           BYTEA    NOT NULL PRIMARY KEY,
    realm_id     BYTEA    NOT NULL,
    account_id   BYTEA    NOT NULL,
    dialect      TEXT COLLATE "C" NOT NULL,
    amr          TEXT COLLATE "C" NOT NULL, -- separated by spaces
    auth_time    BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    idle_at      BIGINT NOT NULL, -- ends here unless used; 0: no idle limit
    expires_at   BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL, -- 0: alive
    end_reason   TEXT COLLATE "C" NOT NULL,
    address      TEXT COLLATE "C" NOT NULL,
    user_agent   TEXT COLLATE "C" NOT NULL,
    bearer_hash  BYTEA,             -- SHA-256 of the opaque token
    generation   BIGINT NOT NULL, -- of the refresh token that is good now
    rotated_at   BIGINT NOT NULL, -- when the one before it was spent
    audience     TEXT COLLATE "C" NOT NULL  -- of the mount where it was opened
);
