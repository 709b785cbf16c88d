-- :name find_upload :one
SELECT document_id, title, media_type, metadata, content, CAST(version AS text) AS version
FROM upload
WHERE source_id = :source_id AND path = :path

-- :name upsert_upload :affected
INSERT INTO upload (document_id, source_id, path, title, media_type, metadata, content)
VALUES (
    :document_id, :source_id, :path, :title, :media_type, CAST(:metadata AS jsonb), :content
)
ON CONFLICT (source_id, path) DO UPDATE SET
    title = excluded.title, media_type = excluded.media_type, metadata = excluded.metadata,
    content = excluded.content, version = gen_random_uuid()

-- :name delete_upload :affected
DELETE FROM upload WHERE document_id = :document_id

-- :name upload_version :scalar
SELECT CAST(version AS text) FROM upload WHERE source_id = :source_id AND path = :path

-- :name find_upload_path :scalar
SELECT path FROM upload WHERE document_id = :document_id

-- :name find_upload_source :scalar
SELECT id FROM source WHERE kind = 'upload'

-- :name delete_uploads :affected
DELETE FROM upload
WHERE source_id = :source_id
    AND path IN (SELECT jsonb_array_elements_text(CAST(:paths AS jsonb)))
