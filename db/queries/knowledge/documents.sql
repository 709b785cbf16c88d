-- :name upsert_source :scalar
-- :doc The source's id; it is created when it is new.
INSERT INTO source (kind, location)
VALUES (:kind, :location)
ON CONFLICT (kind, location) DO UPDATE SET location = excluded.location
RETURNING id

-- :name lock_source :scalar
-- :doc Let nobody else store documents of this source until the transaction ends.
SELECT id FROM source WHERE id = :source_id FOR UPDATE

-- :name list_document_versions :many
-- :doc What is stored of a source, to tell what has changed.
SELECT path, content_hash, recipe FROM document WHERE source_id = :source_id

-- :name has_documents :scalar
SELECT EXISTS (SELECT FROM document)

-- :name upsert_documents :affected
INSERT INTO document (id, source_id, path, title, content_hash, recipe, text)
SELECT id, :source_id, path, title, decode(content_hash, 'hex'), recipe, text
FROM jsonb_to_recordset(CAST(:documents AS jsonb))
    AS given (id uuid, path text, title text, content_hash text, recipe text, text text)
ON CONFLICT (id) DO UPDATE SET
    title = excluded.title, content_hash = excluded.content_hash, recipe = excluded.recipe,
    text = excluded.text, updated_at = now()

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
