-- migrate:up

-- How often something was asked for in a window of time that began with its first request. Unlogged:
-- a crash may forget it, and counting costs no write-ahead log. Pages are left half empty, so that a
-- counter is counted up within its page, without touching the indexes.
CREATE UNLOGGED TABLE rate_limit (
    -- a hash of whose requests these are: an account, or an address that logs in
    key bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    count integer NOT NULL,
    ends_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX rate_limit_ends_at ON rate_limit (ends_at);

-- migrate:down

DROP TABLE rate_limit;
