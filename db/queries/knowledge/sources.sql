-- :name upsert_source :scalar
-- :doc The source's id; it is created when it is new.
INSERT INTO source (account_id, kind, location)
VALUES (:account_id, :kind, :location)
ON CONFLICT (account_id, kind, location) DO UPDATE SET location = excluded.location
RETURNING id

-- :name lock_source :scalar
-- :doc Let nobody else store documents of this source until the transaction ends.
SELECT id FROM source WHERE id = :source_id FOR UPDATE

-- :name lock_writable_source :scalar
-- :doc The same for whoever is about to change it; none when the caller may not.
SELECT id
FROM source
WHERE id = :source_id AND (account_id = :account_id OR visibility = 'shared' AND :is_admin)
FOR UPDATE

-- :name insert_source :one
-- :doc None when the account has such a source already.
INSERT INTO source (account_id, visibility, kind, location, name, config, every, by_operator)
VALUES (
    :account_id, :visibility, :kind, :location, :name, CAST(:config AS jsonb),
    make_interval(secs => :every_sec), :by_operator
)
ON CONFLICT (account_id, kind, location) DO NOTHING
RETURNING id

-- :name adopt_source :scalar
-- :doc The id of a source that was named on the command line; what is known of it already stays.
INSERT INTO source (account_id, visibility, kind, location, name, config, by_operator)
VALUES (:account_id, 'shared', :kind, :location, :location, CAST(:config AS jsonb), true)
ON CONFLICT (account_id, kind, location) DO UPDATE SET
    config = source.config || CAST(:given AS jsonb), by_operator = true
RETURNING id

-- :name update_source :affected
-- :doc Of a source that is locked as writable.
UPDATE source
SET visibility = :visibility, location = :location, name = :name, config = CAST(:config AS jsonb),
    every = make_interval(secs => :every_sec), by_operator = by_operator AND :by_operator
WHERE id = :source_id

-- :name find_source :one
-- :doc None when the caller may not read it.
SELECT source.id, account_id, account_id = :account_id AS mine, visibility, kind, location, name,
    config, state,
    CAST(extract(epoch FROM every) AS double precision) AS every_sec, created_at, synced_at,
    (SELECT count(*) FROM document WHERE document.source_id = source.id) AS documents
FROM source
WHERE source.id = :source_id AND (account_id = :account_id OR visibility = 'shared')

-- :name find_source_by_location :one
-- :doc An account's source, and whether the caller may know of it.
SELECT id, account_id = :account_id OR visibility = 'shared' AS is_readable
FROM source
WHERE account_id = :owner_id AND kind = :kind AND location = :location

-- :name list_sources :many
-- :doc What the caller may read, oldest first, after a cursor.
SELECT source.id, account_id = :account_id AS mine, visibility, kind, location, name, config, state,
    CAST(extract(epoch FROM every) AS double precision) AS every_sec, created_at, synced_at,
    (SELECT count(*) FROM document WHERE document.source_id = source.id) AS documents
FROM source
WHERE (account_id = :account_id OR visibility = 'shared')
    AND (
        CAST(:after_time AS timestamptz) IS NULL
        OR (created_at, source.id) > (CAST(:after_time AS timestamptz), CAST(:after_id AS uuid))
    )
ORDER BY created_at, source.id
LIMIT :limit

-- :name count_private_sources :many
-- :doc What others than an account keep to themselves: for each, how much, and what is done with it.
WITH owned AS (
    SELECT source.account_id, source.id,
        (SELECT count(*) FROM document WHERE document.source_id = source.id) AS documents
    FROM source
    WHERE source.visibility = 'private' AND source.account_id <> :account_id
), runs AS (
    SELECT source_id, count(*) FILTER (WHERE finished_at IS NULL) AS active,
        count(*) FILTER (WHERE state IN ('failed', 'incomplete') AND finished_at > :since) AS failed
    FROM ingestion
    WHERE finished_at IS NULL OR finished_at > :since
    GROUP BY source_id
)
SELECT account.email, count(*) AS sources, sum(documents) AS documents,
    coalesce(sum(runs.active), 0) AS active, coalesce(sum(runs.failed), 0) AS failed
FROM owned
JOIN account ON account.id = owned.account_id
LEFT JOIN runs ON runs.source_id = owned.id
GROUP BY account.id
ORDER BY account.created_at, account.id
LIMIT :limit

-- :name delete_source :affected
-- :doc A source that is locked as writable, with its documents, chunks, uploads and ingestions.
DELETE FROM source WHERE id = :source_id

-- :name set_source_state :affected
UPDATE source
SET state = CAST(:state AS jsonb), synced_at = now()
WHERE id = :source_id
