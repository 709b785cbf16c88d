-- :name upsert_source :scalar
-- :doc The source's id; it is created when it is new.
INSERT INTO source (kind, location)
VALUES (:kind, :location)
ON CONFLICT (kind, location) DO UPDATE SET location = excluded.location
RETURNING id

-- :name lock_source :scalar
-- :doc Let nobody else store documents of this source until the transaction ends.
SELECT id FROM source WHERE id = :source_id FOR UPDATE

-- :name insert_source :one
-- :doc None when there is such a source already.
INSERT INTO source (kind, location, name, config, every, by_operator)
VALUES (
    :kind, :location, :name, CAST(:config AS jsonb), make_interval(secs => :every_sec), :by_operator
)
ON CONFLICT (kind, location) DO NOTHING
RETURNING id

-- :name adopt_source :scalar
-- :doc The id of a source that was named on the command line; what is known of it already stays.
INSERT INTO source (kind, location, name, config, by_operator)
VALUES (:kind, :location, :location, CAST(:config AS jsonb), true)
ON CONFLICT (kind, location) DO UPDATE SET
    config = source.config || CAST(:given AS jsonb), by_operator = true
RETURNING id

-- :name update_source :affected
UPDATE source
SET location = :location, name = :name, config = CAST(:config AS jsonb),
    every = make_interval(secs => :every_sec), by_operator = by_operator AND :by_operator
WHERE id = :source_id

-- :name find_source :one
SELECT source.id, kind, location, name, config, state,
    CAST(extract(epoch FROM every) AS double precision) AS every_sec, created_at, synced_at,
    (SELECT count(*) FROM document WHERE document.source_id = source.id) AS documents
FROM source
WHERE source.id = :source_id

-- :name find_source_by_location :scalar
SELECT id FROM source WHERE kind = :kind AND location = :location

-- :name list_sources :many
-- :doc Oldest first, after a cursor.
SELECT source.id, kind, location, name, config, state,
    CAST(extract(epoch FROM every) AS double precision) AS every_sec, created_at, synced_at,
    (SELECT count(*) FROM document WHERE document.source_id = source.id) AS documents
FROM source
WHERE (
    CAST(:after_time AS timestamptz) IS NULL
    OR (created_at, source.id) > (CAST(:after_time AS timestamptz), CAST(:after_id AS uuid))
)
ORDER BY created_at, source.id
LIMIT :limit

-- :name delete_source :affected
-- :doc With its documents, chunks, uploads and ingestions.
DELETE FROM source WHERE id = :source_id

-- :name set_source_state :affected
UPDATE source
SET state = CAST(:state AS jsonb), synced_at = now()
WHERE id = :source_id
