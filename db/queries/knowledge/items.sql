-- :name insert_items :affected
-- :doc A path that the run has already is left as it is.
INSERT INTO ingestion_item (
    ingestion_id, path, state, version, url, media_type, depth, content, error, finished_at
)
SELECT :ingestion_id, path, state, version, url, media_type, depth, decode(content, 'base64'), error,
    CASE WHEN state = 'skipped' THEN now() END
FROM jsonb_to_recordset(CAST(:items AS jsonb)) AS given (
    path text, state text, version text, url text, media_type text, depth integer, content text,
    error text
)
ON CONFLICT DO NOTHING

-- :name insert_links :many
-- :doc Pages found in a page, as long as the run has room for them.
INSERT INTO ingestion_item (ingestion_id, path, state, url, depth)
SELECT :ingestion_id, path, 'pending', url, :depth
FROM jsonb_to_recordset(CAST(:items AS jsonb)) AS given (path text, url text)
WHERE NOT EXISTS (
    SELECT FROM ingestion_item AS known
    WHERE known.ingestion_id = :ingestion_id AND known.path = given.path
)
LIMIT greatest(
    0, :max_items - (SELECT count(*) FROM ingestion_item WHERE ingestion_id = :ingestion_id)
)
ON CONFLICT DO NOTHING
RETURNING path

-- :name delete_items :affected
-- :doc A listing begins again.
DELETE FROM ingestion_item WHERE ingestion_id = :ingestion_id

-- :name find_item :one
SELECT state, version, url, media_type, depth, document_state, content
FROM ingestion_item
WHERE ingestion_id = :ingestion_id AND path = :path

-- :name is_item_open :scalar
SELECT state IN ('pending', 'fetched')
FROM ingestion_item
WHERE ingestion_id = :ingestion_id AND path = :path

-- :name keep_fetched :affected
UPDATE ingestion_item
SET state = 'fetched', version = :version, url = :url, media_type = :media_type,
    document_state = CAST(:document_state AS jsonb), content = :content
WHERE ingestion_id = :ingestion_id AND path = :path AND state = 'pending'

-- :name finish_item :affected
-- :doc Zero when it had been finished before.
UPDATE ingestion_item
SET state = :state, error = :error, content = CASE WHEN :keep_content THEN content END,
    attempts = attempts + 1, finished_at = now()
WHERE ingestion_id = :ingestion_id AND path = :path AND state IN ('pending', 'fetched')

-- :name note_item_error :affected
UPDATE ingestion_item
SET error = :error, attempts = attempts + 1
WHERE ingestion_id = :ingestion_id AND path = :path AND state IN ('pending', 'fetched')

-- :name has_open_items :scalar
SELECT EXISTS (
    SELECT FROM ingestion_item
    WHERE ingestion_id = :ingestion_id AND state IN ('pending', 'fetched')
)

-- :name insert_unmet_items :affected
-- :doc What the source has stored and the run has not met; :depth keeps its links from being followed.
INSERT INTO ingestion_item (ingestion_id, path, state, url, depth)
SELECT :ingestion_id, document.path, 'pending', document.url, :depth
FROM document
WHERE document.source_id = :source_id
    AND NOT EXISTS (
        SELECT FROM ingestion_item AS met
        WHERE met.ingestion_id = :ingestion_id AND met.path = document.path
    )

-- :name delete_vanished_documents :affected
DELETE FROM document
USING ingestion_item
WHERE ingestion_item.ingestion_id = :ingestion_id AND ingestion_item.state = 'vanished'
    AND document.source_id = :source_id AND document.path = ingestion_item.path

-- :name finish_vanished_items :affected
UPDATE ingestion_item
SET state = 'deleted', finished_at = now()
WHERE ingestion_id = :ingestion_id AND state = 'vanished'

-- :name cancel_items :affected
UPDATE ingestion_item
SET state = 'cancelled', content = NULL, finished_at = now()
WHERE ingestion_id = :ingestion_id AND state IN ('pending', 'fetched', 'vanished')

-- :name retry_items :affected
-- :doc What failed is tried again, from where it stood.
UPDATE ingestion_item
SET state = CASE WHEN content IS NULL THEN 'pending' ELSE 'fetched' END, error = NULL, attempts = 0,
    finished_at = NULL
WHERE ingestion_id = :ingestion_id AND state = 'failed'

-- :name list_items :many
-- :doc In the order of paths, after a cursor; nothing when the caller may not read the run.
SELECT path, ingestion_item.state, url, attempts, ingestion_item.error, ingestion_item.finished_at
FROM ingestion_item
JOIN ingestion ON ingestion.id = ingestion_id
JOIN source ON source.id = ingestion.source_id
WHERE ingestion_id = :ingestion_id
    AND (source.account_id = :account_id OR source.visibility = 'shared')
    AND (CAST(:state AS text) IS NULL OR ingestion_item.state = CAST(:state AS text))
    AND (CAST(:after AS text) IS NULL OR path > CAST(:after AS text))
ORDER BY path
LIMIT :limit

-- :name insert_upload_items :affected
-- :doc Uploads, all of them or some; their contents stay where they are.
INSERT INTO ingestion_item (ingestion_id, path, state, version)
SELECT :ingestion_id, path, 'pending', CAST(version AS text)
FROM upload
WHERE source_id = :source_id
    AND (CAST(:paths AS jsonb) IS NULL OR CAST(:paths AS jsonb) ? path)
ON CONFLICT DO NOTHING

-- :name list_unusable :many
-- :doc What the last run over a source could not use, if it read things as they are read now.
SELECT path, version, error
FROM ingestion_item
WHERE state = 'skipped' AND version <> ''
    AND ingestion_id = (
        SELECT id
        FROM ingestion
        WHERE source_id = :source_id AND state IN ('succeeded', 'incomplete') AND recipe = :recipe
        ORDER BY created_at DESC
        LIMIT 1
    )

-- :name count_fetched_items :one
-- :doc How many documents of a run there are to look at, and of how many the content is there.
SELECT count(*) AS items, count(*) FILTER (WHERE state <> 'pending') AS fetched
FROM ingestion_item
WHERE ingestion_id = :ingestion_id AND state <> 'vanished'
