-- migrate:up

-- Changes that every follower has long applied are removed. Whoever stands in a transaction before
-- this one may have missed some, and builds its index anew. A restored dump, or another cluster,
-- has transaction ids of its own, so what was noted elsewhere doesn't count there.
CREATE TABLE index_compaction (
    database text PRIMARY KEY,
    xid xid8 NOT NULL
);

-- How old a change is: for removing it, and to tell how far behind an index is.
ALTER TABLE index_change ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();

-- migrate:down

ALTER TABLE index_change DROP COLUMN created_at;
DROP TABLE index_compaction;
