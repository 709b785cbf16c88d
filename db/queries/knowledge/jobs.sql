-- :name defer_list_job :many
SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[
    CAST(
        ROW(
            'list', 'ingestion:list', 0, NULL, NULL,
            jsonb_build_object('ingestion_id', CAST(:ingestion_id AS text)), NULL
        ) AS procrastinate_job_to_defer_v1
    )
])) AS id

-- :name defer_prune_job :many
-- :doc Remove the vectors that nothing needs any more, unless such a job waits already.
SELECT unnest(procrastinate_defer_jobs_v1(ARRAY(
    SELECT CAST(
        ROW('maintenance', 'maintenance:prune', 0, NULL, NULL, jsonb_build_object(), NULL)
        AS procrastinate_job_to_defer_v1
    )
    WHERE NOT EXISTS (
        SELECT FROM procrastinate_jobs
        WHERE task_name = 'maintenance:prune' AND status = 'todo'
    )
))) AS id

-- :name prune_is_queued :scalar
SELECT EXISTS (
    SELECT FROM procrastinate_jobs WHERE task_name = 'maintenance:prune' AND status = 'todo'
)

-- :name defer_document_jobs :many
-- :doc One for each item that is still to be done and has none under way.
SELECT unnest(procrastinate_defer_jobs_v1(ARRAY(
    SELECT CAST(
        ROW(
            'document', 'ingestion:document', 0, NULL, NULL,
            jsonb_build_object('ingestion_id', CAST(:ingestion_id AS text), 'path', path), NULL
        ) AS procrastinate_job_to_defer_v1
    )
    FROM ingestion_item
    WHERE ingestion_id = CAST(:ingestion_id AS uuid) AND state IN ('pending', 'fetched')
        AND (CAST(:paths AS jsonb) IS NULL OR CAST(:paths AS jsonb) ? path)
    ORDER BY path
))) AS id

-- :name cancel_jobs :many
SELECT procrastinate_cancel_job_v1(id, true, false) AS id
FROM procrastinate_jobs
WHERE args ->> 'ingestion_id' = :ingestion_id AND status IN ('todo', 'doing')
