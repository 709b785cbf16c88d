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
DELETE FROM upload
USING source
WHERE upload.document_id = :document_id AND source.id = upload.source_id
    AND (source.account_id = :account_id OR source.visibility = 'shared' AND :is_admin)

-- :name upload_version :scalar
SELECT CAST(version AS text) FROM upload WHERE source_id = :source_id AND path = :path

-- :name find_upload_path :scalar
SELECT upload.path
FROM upload
JOIN source ON source.id = upload.source_id
WHERE upload.document_id = :document_id
    AND (source.account_id = :account_id OR source.visibility = 'shared' AND :is_admin)

-- :name upsert_upload_source :scalar
-- :doc Where an account's uploads of one visibility belong.
INSERT INTO source (account_id, kind, location, visibility)
VALUES (:account_id, 'upload', :location, :visibility)
ON CONFLICT (account_id, kind, location) DO UPDATE SET location = excluded.location
RETURNING id

-- :name lock_upload_source :one
-- :doc Where an upload belongs, if the caller may write it: nobody else does until the transaction
-- :doc ends.
SELECT id, visibility
FROM source
WHERE id = (SELECT source_id FROM upload WHERE document_id = :document_id)
    AND (account_id = :account_id OR visibility = 'shared' AND :is_admin)
FOR UPDATE

-- :name delete_uploads :affected
DELETE FROM upload
WHERE source_id = :source_id
    AND path IN (SELECT jsonb_array_elements_text(CAST(:paths AS jsonb)))
