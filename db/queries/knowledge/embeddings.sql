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
-- :doc Those of texts that are nowhere any more, and those of models that nobody needs any more.
DELETE FROM embedding
WHERE NOT EXISTS (SELECT FROM chunk WHERE chunk.content_hash = embedding.content_hash)
    OR EXISTS (
        SELECT
        FROM index_model
        WHERE embedding.model <> index_model.model
            AND embedding.model IS DISTINCT FROM next_model
            AND (switched_at IS NULL OR switched_at < now() - make_interval(hours => :keep_hours))
    )

-- :name forget_switch :affected
-- :doc Note that the vectors of the earlier model are gone.
UPDATE index_model
SET switched_at = NULL
WHERE switched_at < now() - make_interval(hours => :keep_hours)

-- :name has_outdated_model :scalar
-- :doc Whether the vectors of the earlier model have been kept for long enough.
SELECT EXISTS (
    SELECT FROM index_model WHERE switched_at < now() - make_interval(hours => :keep_hours)
)

-- :name register_model :affected
-- :doc The first to register decides. Whoever waited for another sees in a second statement whom.
INSERT INTO index_model (model, dimensions)
VALUES (:model, :dimensions)
ON CONFLICT DO NOTHING

-- :name find_model :one
SELECT model, dimensions, next_model, switched_at FROM index_model

-- :name begin_reindex :affected
-- :doc With the model that is there already, give up one that was begun.
UPDATE index_model SET next_model = nullif(:model, model)

-- :name switch_model :affected
UPDATE index_model
SET model = :model, dimensions = :dimensions, next_model = NULL, switched_at = now()

-- :name count_texts :one
-- :doc How many texts there are, and how many of them have a vector of a model.
SELECT count(*) AS texts, count(embedding.content_hash) AS embedded
FROM (SELECT DISTINCT content_hash FROM chunk) AS text
LEFT JOIN embedding ON embedding.content_hash = text.content_hash AND embedding.model = :model
