-- :name count_job_trouble :one
-- :doc How often a job has met each kind of trouble, with what is added now.
INSERT INTO job_trouble (job_id, errors, crashes, worker_deaths)
VALUES (:job_id, :errors, :crashes, :worker_deaths)
ON CONFLICT (job_id) DO UPDATE SET
    errors = job_trouble.errors + excluded.errors,
    crashes = job_trouble.crashes + excluded.crashes,
    worker_deaths = job_trouble.worker_deaths + excluded.worker_deaths
RETURNING errors, crashes, worker_deaths

-- :name forget_job_trouble :affected
DELETE FROM job_trouble WHERE job_id = :job_id

-- :name beat_workers :many
SELECT CAST(procrastinate_update_heartbeat_v1(id) AS text) AS beaten
FROM procrastinate_workers
WHERE id IN :worker_ids

-- :name remove_workers :many
SELECT CAST(procrastinate_unregister_worker_v1(id) AS text) AS removed
FROM procrastinate_workers
WHERE id IN :worker_ids

-- :name prune_workers :many
SELECT worker_id FROM procrastinate_prune_stalled_workers_v1(:stalled_sec)

-- :name list_stalled_jobs :many
-- :doc Those whose worker is gone or has not been heard of for so long, and those that it should
-- :doc have aborted so long ago.
SELECT job.id, job.worker_id
FROM procrastinate_jobs AS job
LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
WHERE job.status = 'doing' AND (
    worker.id IS NULL
    OR worker.last_heartbeat < now() - make_interval(secs => :stalled_sec)
    OR job.abort_requested AND EXISTS (
        SELECT FROM procrastinate_events AS event
        WHERE event.job_id = job.id AND event.type = 'abort_requested'
            AND event.at < now() - make_interval(secs => :stalled_sec)
    )
)
ORDER BY job.id

-- :name lock_stalled_job :one
-- :doc One of them, unless somebody has been quicker.
SELECT id, queue_name, task_name, args, lock, abort_requested
FROM procrastinate_jobs
WHERE id = :job_id AND status = 'doing' AND worker_id IS NOT DISTINCT FROM :worker_id
FOR UPDATE SKIP LOCKED

-- :name lock_jobs_of_workers :many
SELECT id, queue_name, task_name, args, lock, abort_requested
FROM procrastinate_jobs
WHERE status = 'doing' AND worker_id IN :worker_ids
ORDER BY id
FOR UPDATE

-- :name put_back_job :scalar
-- :doc Have it run again, at once; a job that has a lock keeps it.
SELECT CAST(procrastinate_retry_job_v2(:job_id, now(), NULL, NULL, :lock) AS text)

-- :name end_job :scalar
SELECT CAST(
    procrastinate_finish_job_v1(:job_id, CAST(:status AS procrastinate_job_status), false) AS text
)
