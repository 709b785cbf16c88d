-- :name queue_depths :many
-- :doc What waits, what is being done, and for how long the first has waited that could be done.
WITH depth AS (
    SELECT queue_name AS queue,
        count(*) FILTER (WHERE status = 'todo') AS waiting,
        count(*) FILTER (WHERE status = 'doing') AS running,
        min(id) FILTER (WHERE status = 'todo' AND coalesce(scheduled_at, now()) <= now()) AS oldest
    FROM procrastinate_jobs
    WHERE status IN ('todo', 'doing')
    GROUP BY queue_name
)
SELECT queue, waiting, running,
    CAST(coalesce(
        (
            SELECT extract(epoch FROM now() - min(event.at))
            FROM procrastinate_events AS event
            WHERE event.job_id = depth.oldest
        ),
        0
    ) AS double precision) AS oldest_sec
FROM depth
ORDER BY queue

-- :name live_workers :one
-- :doc How many have been heard of in the last minute, and how long ago the last of them.
SELECT count(*) AS workers,
    CAST(extract(epoch FROM now() - max(last_heartbeat)) AS double precision) AS heartbeat_sec
FROM procrastinate_workers
WHERE last_heartbeat > now() - interval '1 minute'
