-- :name list_embedded :many
-- :doc Which of the texts have a vector already.
SELECT encode(content_hash, 'hex') AS content_hash
FROM embedding
WHERE model = :model
    AND content_hash IN (
        SELECT decode(hash, 'hex')
        FROM jsonb_array_elements_text(CAST(:content_hashes AS jsonb)) AS given (hash)
    )

-- :name insert_embeddings :affected
INSERT INTO embedding (content_hash, model, vector)
SELECT decode(content_hash, 'hex'), :model, decode(vector, 'base64')
FROM jsonb_to_recordset(CAST(:embeddings AS jsonb)) AS given (content_hash text, vector text)
ON CONFLICT DO NOTHING

-- :name share_embeddings :scalar
-- :doc Keep every vector where it is until the transaction ends.
SELECT 1 FROM (SELECT pg_advisory_xact_lock_shared(hashtext('brag.embedding'))) AS locked

-- :name own_embeddings :scalar
-- :doc Wait for all who rely on vectors, and keep others away until the transaction ends.
SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtext('brag.embedding'))) AS locked

-- :name delete_unused_embeddings :affected
DELETE FROM embedding
WHERE NOT EXISTS (SELECT FROM chunk WHERE chunk.content_hash = embedding.content_hash)

-- :name register_model :affected
-- :doc The first to register decides. Whoever waited for another sees in a second statement whom.
INSERT INTO index_model (model, dimensions)
VALUES (:model, :dimensions)
ON CONFLICT DO NOTHING

-- :name find_model :one
SELECT model, dimensions FROM index_model
