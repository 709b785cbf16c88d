-- :name index_database :scalar
-- :doc Which database this is: a restored dump or another cluster has transaction ids of its own.
SELECT concat(system_identifier, '/', (SELECT oid FROM pg_database WHERE datname = current_database()))
FROM pg_control_system()

-- :name index_horizon :one
-- :doc Every transaction below settled_xid has ended, and none has reached next_xid yet.
SELECT CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS settled_xid,
    CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS next_xid

-- :name latest_index_change :one
SELECT CAST(xid AS text) AS xid, id
FROM index_change
WHERE xid < pg_snapshot_xmax(pg_current_snapshot())
ORDER BY xid DESC, id DESC
LIMIT 1

-- :name settled_index_changes :many
-- :doc No row will ever come to stand before these: every transaction that could add one has ended.
SELECT CAST(xid AS text) AS xid, id, chunk_id
FROM index_change
WHERE (xid, id) > (CAST(:xid AS xid8), CAST(:id AS bigint))
    AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, id
LIMIT :limit

-- :name unsettled_index_changes :many
-- :doc Committed, but behind a transaction that is still running: rows may yet come before these.
-- Rows of a restored dump may come from transactions that this cluster has yet to get to.
SELECT CAST(xid AS text) AS xid, id, chunk_id
FROM index_change
WHERE (xid, id) > (CAST(:xid AS xid8), CAST(:id AS bigint))
    AND xid >= pg_snapshot_xmin(pg_current_snapshot())
    AND xid < pg_snapshot_xmax(pg_current_snapshot())
ORDER BY xid, id
LIMIT :limit

-- :name has_lost_index_changes :scalar
-- :doc Whether changes after a transaction may have been removed. Ask after reading the changes: if
-- :doc none is lost now, none was then.
SELECT EXISTS (
    SELECT FROM index_compaction WHERE database = :database AND xid > CAST(:xid AS xid8)
)

-- :name index_lag :one
-- :doc How many changes wait behind a position, :limit at most, and for how many seconds.
SELECT count(*) AS changes,
    CAST(coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS double precision)
        AS seconds
FROM (
    SELECT created_at
    FROM index_change
    WHERE (xid, id) > (CAST(:xid AS xid8), CAST(:id AS bigint))
        AND xid < pg_snapshot_xmax(pg_current_snapshot())
    ORDER BY xid, id
    LIMIT :limit
) AS waiting

-- :name chunks_to_index :many
-- :doc Those of the chunks that exist, as they are now; vector is null for one without an embedding.
SELECT chunk.id, chunk.document_id, document.source_id, source.account_id, source.visibility,
    document.path, document.updated_at, chunk.content_hash, chunk.heading_path, chunk.text,
    embedding.vector
FROM chunk
JOIN document ON document.id = chunk.document_id
JOIN source ON source.id = document.source_id
LEFT JOIN embedding ON embedding.content_hash = chunk.content_hash AND embedding.model = :model
WHERE chunk.id = ANY (CAST(:ids AS uuid[]))

-- :name page_of_chunks_to_index :many
-- :doc The chunks that follow an id, in the order of ids.
-- The page is cut first: with old statistics the planner might join everything for each page.
WITH page AS MATERIALIZED (
    SELECT id, document_id, heading_path, text, content_hash
    FROM chunk
    WHERE id > :after
    ORDER BY id
    LIMIT :limit
)
SELECT page.id, page.document_id, document.source_id, source.account_id, source.visibility,
    document.path, document.updated_at, page.content_hash, page.heading_path, page.text,
    embedding.vector
FROM page
JOIN document ON document.id = page.document_id
JOIN source ON source.id = document.source_id
LEFT JOIN embedding ON embedding.content_hash = page.content_hash AND embedding.model = :model
ORDER BY page.id

-- :name count_chunks_to_index :one
-- :doc How many points an index must have, unless changes wait behind its position.
SELECT
    (
        SELECT count(*)
        FROM chunk
        WHERE EXISTS (
            SELECT FROM embedding
            WHERE embedding.content_hash = chunk.content_hash AND embedding.model = :model
                AND octet_length(embedding.vector) = :vector_bytes
        )
    ) AS chunks,
    EXISTS (
        SELECT FROM index_change
        WHERE (xid, id) > (CAST(:xid AS xid8), CAST(:id AS bigint))
            AND xid < pg_snapshot_xmax(pg_current_snapshot())
    ) AS changes_wait

-- :name try_index_leadership :one
-- :doc A session's lock, held until its connection ends; a vanished holder is noticed in half a minute.
SELECT CASE WHEN pg_try_advisory_lock(hashtextextended(:name, 0)) THEN pg_backend_pid() END AS term,
    set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false)
