-- :name count_knowledge :one
SELECT (SELECT count(*) FROM document) AS documents, (SELECT count(*) FROM chunk) AS chunks

-- :name count_documents_without_chunks :scalar
-- :doc Those with text: an empty document has none, and that is right.
SELECT count(*)
FROM document
WHERE text ~ '[[:alnum:]]'
    AND NOT EXISTS (SELECT FROM chunk WHERE chunk.document_id = document.id)

-- :name documents_to_check :many
-- :doc The documents that follow an id, in the order of ids: 4 MB of them, or one that is bigger. With
-- :doc their chunks, since two statements might see two versions.
WITH page AS (
    SELECT id, sum(octet_length(text)) OVER (ORDER BY id) - octet_length(text) AS bytes_before
    FROM (SELECT id, text FROM document WHERE id > :after ORDER BY id LIMIT 256) AS next
)
SELECT document.id, document.path, document.text, ARRAY(
    SELECT jsonb_build_object(
        'id', id, 'start', start_offset, 'end', end_offset, 'heading_path', heading_path,
        'content_hash', encode(content_hash, 'hex'), 'text', chunk.text
    )
    FROM chunk
    WHERE chunk.document_id = document.id
) AS chunks
FROM page
JOIN document ON document.id = page.id
WHERE bytes_before < 4000000
ORDER BY document.id

-- :name outdate_documents :affected
-- :doc Have the next ingestion store them anew.
UPDATE document SET recipe = '' WHERE id = ANY (CAST(:ids AS uuid[]))

-- :name count_outdated_documents :scalar
SELECT count(*) FROM document WHERE recipe = ''

-- :name delete_chunks :affected
DELETE FROM chunk WHERE id = ANY (CAST(:ids AS uuid[]))

-- :name count_chunks_without_vector :scalar
SELECT count(*)
FROM chunk
WHERE NOT EXISTS (
    SELECT FROM embedding
    WHERE embedding.content_hash = chunk.content_hash AND embedding.model = :model
        AND octet_length(embedding.vector) = :vector_bytes
)

-- :name texts_without_vector :many
-- :doc What is to be embedded, each text once, in the order of hashes.
SELECT DISTINCT ON (content_hash) encode(content_hash, 'hex') AS content_hash, heading_path, text
FROM chunk
WHERE content_hash > decode(:after, 'hex')
    AND NOT EXISTS (
        SELECT FROM embedding
        WHERE embedding.content_hash = chunk.content_hash AND embedding.model = :model
            AND octet_length(embedding.vector) = :vector_bytes
    )
ORDER BY content_hash
LIMIT :limit

-- :name replace_embeddings :affected
-- :doc Store vectors also where there is a broken one.
INSERT INTO embedding (content_hash, model, vector)
SELECT decode(content_hash, 'hex'), :model, decode(vector, 'base64')
FROM jsonb_to_recordset(CAST(:embeddings AS jsonb)) AS given (content_hash text, vector text)
ON CONFLICT (content_hash, model) DO UPDATE SET vector = excluded.vector

-- :name queue_chunks_of_texts :affected
-- :doc Have every index look at these chunks again.
INSERT INTO index_change (chunk_id)
SELECT id
FROM chunk
WHERE content_hash IN (
    SELECT decode(hash, 'hex') FROM jsonb_array_elements_text(CAST(:content_hashes AS jsonb)) AS given (hash)
)

-- :name queue_chunks :affected
-- :doc Have every index look at these chunks again, there or not.
INSERT INTO index_change (chunk_id) SELECT unnest(CAST(:ids AS uuid[]))

-- :name count_unused_embeddings :scalar
SELECT count(*)
FROM embedding
WHERE NOT EXISTS (SELECT FROM chunk WHERE chunk.content_hash = embedding.content_hash)

-- :name count_listeners :scalar
-- :doc How many processes follow this database.
SELECT count(*)
FROM pg_stat_activity
WHERE datname = current_database() AND query = 'LISTEN index_change'
