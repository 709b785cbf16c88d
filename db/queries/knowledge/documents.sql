-- :name list_document_versions :many
-- :doc What is stored of a source, to tell what has changed.
SELECT path, content_hash, recipe, version FROM document WHERE source_id = :source_id

-- :name find_document_version :one
-- :doc The same of one document, with what its last fetch left.
SELECT id, content_hash, recipe, version, state
FROM document
WHERE source_id = :source_id AND path = :path

-- :name has_documents :scalar
SELECT EXISTS (SELECT FROM document)

-- :name upsert_documents :affected
INSERT INTO document (
    id, source_id, path, title, content_hash, recipe, text, version, url, media_type, metadata, state
)
SELECT id, :source_id, path, title, decode(content_hash, 'hex'), recipe, text, version, url,
    media_type, metadata, state
FROM jsonb_to_recordset(CAST(:documents AS jsonb)) AS given (
    id uuid, path text, title text, content_hash text, recipe text, text text, version text,
    url text, media_type text, metadata jsonb, state jsonb
)
ON CONFLICT (id) DO UPDATE SET
    title = excluded.title, content_hash = excluded.content_hash, recipe = excluded.recipe,
    text = excluded.text, version = excluded.version, url = excluded.url,
    media_type = excluded.media_type, metadata = excluded.metadata, state = excluded.state,
    updated_at = now()

-- :name touch_document :affected
-- :doc The same content, met again: only where it comes from may be new.
UPDATE document
SET version = :version, url = coalesce(:url, url), state = CAST(:state AS jsonb)
WHERE source_id = :source_id AND path = :path

-- :name delete_other_chunks :affected
-- :doc Remove what the new versions of the documents no longer contain.
DELETE FROM chunk
WHERE document_id = ANY (CAST(:document_ids AS uuid[]))
    AND NOT EXISTS (
        SELECT FROM unnest(CAST(:chunk_ids AS uuid[])) AS kept (id) WHERE kept.id = chunk.id
    )

-- :name upsert_chunks :affected
-- :doc A chunk that is already there is embedded from the same characters, so no index needs to
-- :doc know; but its place may have moved, or a heading become text.
INSERT INTO chunk (
    id, document_id, ordinal, start_offset, end_offset, heading_path, content_hash, text
)
SELECT id, document_id, ordinal, start_offset, end_offset,
    ARRAY(SELECT jsonb_array_elements_text(heading_path)), decode(content_hash, 'hex'), text
FROM jsonb_to_recordset(CAST(:chunks AS jsonb)) AS given (
    id uuid, document_id uuid, ordinal integer, start_offset integer, end_offset integer,
    heading_path jsonb, content_hash text, text text
)
ON CONFLICT (id) DO UPDATE SET
    ordinal = excluded.ordinal, start_offset = excluded.start_offset,
    end_offset = excluded.end_offset, heading_path = excluded.heading_path, text = excluded.text

-- :name delete_documents :affected
DELETE FROM document
WHERE source_id = :source_id
    AND path IN (SELECT jsonb_array_elements_text(CAST(:paths AS jsonb)))

-- :name find_document :one
SELECT document.id, source_id, source.kind AS source_kind, source.visibility,
    source.account_id = :account_id AS mine, path, title, url, media_type, metadata,
    length(text) AS characters, document.created_at, updated_at, text
FROM document
JOIN source ON source.id = document.source_id
WHERE document.id = :document_id
    AND (source.account_id = :account_id OR source.visibility = 'shared')

-- :name find_document_part :one
-- :doc Some characters of a text, from 0, which PostgreSQL counts from 1.
SELECT document.id, source_id, path, title, url, updated_at, length(text) AS characters,
    substr(text, CAST(:start AS integer) + 1, CAST(:length AS integer)) AS text
FROM document
JOIN source ON source.id = document.source_id
WHERE document.id = :document_id
    AND (source.account_id = :account_id OR source.visibility = 'shared')

-- :name list_documents :many
-- :doc Newest first, before a cursor.
SELECT document.id, source_id, source.kind AS source_kind, source.visibility,
    source.account_id = :account_id AS mine, path, title, url, media_type, metadata,
    length(text) AS characters, document.created_at, updated_at
FROM document
JOIN source ON source.id = document.source_id
WHERE (source.account_id = :account_id OR source.visibility = 'shared')
    AND (CAST(:source_id AS uuid) IS NULL OR source_id = CAST(:source_id AS uuid))
    AND (CAST(:path_prefix AS text) IS NULL OR starts_with(path, CAST(:path_prefix AS text)))
    AND (
        CAST(:before_time AS timestamptz) IS NULL
        OR (document.created_at, document.id)
            < (CAST(:before_time AS timestamptz), CAST(:before_id AS uuid))
    )
ORDER BY document.created_at DESC, document.id DESC
LIMIT :limit

-- :name delete_document :affected
-- :doc One that was uploaded, of whoever may write it.
DELETE FROM document
USING source
WHERE document.id = :document_id AND source.id = document.source_id AND source.kind = 'upload'
    AND (source.account_id = :account_id OR source.visibility = 'shared' AND :is_admin)
