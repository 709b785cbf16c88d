-- :name insert_index_check :scalar
INSERT INTO index_check DEFAULT VALUES RETURNING id

-- :name delete_index_check :affected
DELETE FROM index_check WHERE id = :check_id

-- :name list_index_check_answers :many
SELECT replica, points, missing, surplus, different, waiting
FROM index_check_answer
WHERE check_id = :check_id
ORDER BY replica

-- :name begin_index_checks :many
-- :doc Checks that this replica has not begun, unless whoever asked must have given up. The lock
-- :doc waits for one that is just being deleted.
INSERT INTO index_check_answer (check_id, replica)
SELECT id, :replica
FROM (
    SELECT id
    FROM index_check
    WHERE created_at > now() - interval '10 minutes'
        AND NOT EXISTS (
            SELECT FROM index_check_answer WHERE check_id = index_check.id AND replica = :replica
        )
    FOR KEY SHARE
) AS unanswered
RETURNING check_id

-- :name answer_index_check :affected
UPDATE index_check_answer
SET points = :points, missing = CAST(:missing AS uuid[]), surplus = CAST(:surplus AS uuid[]),
    different = CAST(:different AS uuid[]), waiting = :waiting
WHERE check_id = :check_id AND replica = :replica

-- :name points_to_expect :many
-- :doc The chunks in a range of ids, in their order, and whether an index should hold them.
-- The page is cut first: with old statistics the planner might join everything for each page.
WITH page AS MATERIALIZED (
    SELECT id, document_id, content_hash
    FROM chunk
    WHERE id > :after AND id <= :last
    ORDER BY id
    LIMIT :limit
)
SELECT page.id, document.source_id, source.account_id, source.visibility, page.document_id,
    document.path, document.updated_at, page.content_hash,
    EXISTS (
        SELECT FROM embedding
        WHERE embedding.content_hash = page.content_hash AND embedding.model = :model
            AND octet_length(embedding.vector) = :vector_bytes
    ) AS has_vector
FROM page
JOIN document ON document.id = page.document_id
JOIN source ON source.id = document.source_id
ORDER BY page.id

-- :name find_changing_chunks :many
-- :doc Those of the chunks that changes after a position speak of.
SELECT DISTINCT chunk_id
FROM index_change
WHERE (xid, id) > (CAST(:xid AS xid8), CAST(:id AS bigint))
    AND chunk_id = ANY (CAST(:ids AS uuid[]))
