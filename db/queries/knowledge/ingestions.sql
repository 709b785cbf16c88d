-- :name insert_ingestion :scalar
-- :doc None when a run over this source is under way.
INSERT INTO ingestion (source_id, cause, everything, origin)
VALUES (:source_id, :cause, :everything, CAST(:origin AS jsonb))
ON CONFLICT (source_id) WHERE state IN ('queued', 'listing', 'running') AND cause <> 'upload'
DO NOTHING
RETURNING id

-- :name insert_upload_ingestion :scalar
-- :doc Its documents are known: there is nothing to list.
INSERT INTO ingestion (source_id, cause, state, listed, started_at, origin)
VALUES (:source_id, 'upload', 'running', :listed, now(), CAST(:origin AS jsonb))
RETURNING id

-- :name insert_due_ingestions :many
INSERT INTO ingestion (source_id, cause)
SELECT source.id, 'schedule'
FROM source
WHERE every IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM ingestion
        WHERE ingestion.source_id = source.id AND ingestion.created_at > now() - source.every
    )
ON CONFLICT (source_id) WHERE state IN ('queued', 'listing', 'running') AND cause <> 'upload'
DO NOTHING
RETURNING id

-- :name active_ingestion :scalar
SELECT id
FROM ingestion
WHERE source_id = :source_id AND state IN ('queued', 'listing', 'running') AND cause <> 'upload'

-- :name active_ingestions :many
SELECT id
FROM ingestion
WHERE source_id = :source_id AND state IN ('queued', 'listing', 'running')

-- :name find_ingestion :one
-- :doc For whoever works on it, or has been let in.
SELECT ingestion.id, source_id, source.account_id, source.kind AS source_kind, source.location,
    cause, everything, ingestion.state, listed, unchanged, stored, deleted, skipped, failed, passages, embedded, error,
    ingestion.created_at, started_at, finished_at
FROM ingestion
JOIN source ON source.id = ingestion.source_id
WHERE ingestion.id = :ingestion_id

-- :name find_readable_ingestion :one
-- :doc The same for a caller; none when they may not read it.
SELECT ingestion.id, source_id, source.account_id, source.kind AS source_kind, source.location,
    cause, everything, ingestion.state, listed, unchanged, stored, deleted, skipped, failed, passages, embedded, error,
    ingestion.created_at, started_at, finished_at
FROM ingestion
JOIN source ON source.id = ingestion.source_id
WHERE ingestion.id = :ingestion_id
    AND (source.account_id = :account_id OR source.visibility = 'shared')

-- :name list_ingestion_versions :many
-- :doc Of some runs what is another one after each change of the run, its source or its log.
SELECT ingestion.id, concat_ws('.', ingestion.xmin, source.xmin, line.id) AS version
FROM ingestion
JOIN source ON source.id = ingestion.source_id
LEFT JOIN LATERAL (
    SELECT ingestion_log.id
    FROM ingestion_log
    WHERE ingestion_id = ingestion.id
    ORDER BY ingestion_log.id DESC
    LIMIT 1
) AS line ON true
WHERE ingestion.id = ANY (CAST(:ids AS uuid[]))

-- :name list_ingestions :many
-- :doc What the caller may read, newest first, before a cursor.
SELECT ingestion.id, source_id, source.account_id, source.kind AS source_kind, source.location,
    cause, everything, ingestion.state, listed, unchanged, stored, deleted, skipped, failed, passages, embedded, error,
    ingestion.created_at, started_at, finished_at
FROM ingestion
JOIN source ON source.id = ingestion.source_id
WHERE (source.account_id = :account_id OR source.visibility = 'shared')
    AND (CAST(:source_id AS uuid) IS NULL OR source_id = CAST(:source_id AS uuid))
    AND (CAST(:state AS text) IS NULL OR ingestion.state = CAST(:state AS text))
    AND (
        CAST(:before_time AS timestamptz) IS NULL
        OR (ingestion.created_at, ingestion.id)
            < (CAST(:before_time AS timestamptz), CAST(:before_id AS uuid))
    )
ORDER BY ingestion.created_at DESC, ingestion.id DESC
LIMIT :limit

-- :name ingestion_of :one
-- :doc What a step must know of its run; none when the source has been deleted.
SELECT ingestion.state, everything, source_id, source.kind, source.config,
    source.state AS source_state, source.by_operator, ingestion.cause, ingestion.again
FROM ingestion
JOIN source ON source.id = ingestion.source_id
WHERE ingestion.id = :ingestion_id

-- :name origin_of_ingestion :scalar
-- :doc The request that a run began with, or was retried by.
SELECT origin FROM ingestion WHERE id = :ingestion_id

-- :name lock_source_of :scalar
-- :doc Whoever changes a run locks its source first and then the run, as a deletion does.
SELECT source.id
FROM source
WHERE source.id = (SELECT source_id FROM ingestion WHERE ingestion.id = :ingestion_id)
FOR UPDATE

-- :name lock_writable_source_of :scalar
-- :doc The same for a caller; none when they may not change it.
SELECT source.id
FROM source
WHERE source.id = (SELECT source_id FROM ingestion WHERE ingestion.id = :ingestion_id)
    AND (account_id = :account_id OR visibility = 'shared' AND :is_admin)
FOR UPDATE

-- :name lock_ingestion :scalar
-- :doc Its state, which nobody else changes until the transaction ends.
SELECT state FROM ingestion WHERE id = :ingestion_id FOR UPDATE

-- :name begin_listing :scalar
-- :doc Which listing of this run it is.
UPDATE ingestion
SET state = 'listing', listings = listings + 1, recipe = :recipe,
    started_at = coalesce(started_at, now())
WHERE id = :ingestion_id
RETURNING listings

-- :name ask_again :affected
-- :doc A run that has begun to look may have missed what the caller has just changed.
UPDATE ingestion SET again = true WHERE id = :ingestion_id AND state IN ('listing', 'running')

-- :name has_later_ingestion :scalar
SELECT EXISTS (
    SELECT FROM ingestion AS later
    JOIN ingestion AS this ON this.source_id = later.source_id
    WHERE this.id = :ingestion_id AND this.cause <> 'upload' AND later.cause <> 'upload'
        AND later.created_at > this.created_at
)

-- :name current_listing :scalar
SELECT listings FROM ingestion WHERE id = :ingestion_id

-- :name forsaken_ingestions :many
-- :doc Runs under way that no job works for: whoever began them was killed in between.
SELECT id
FROM ingestion
WHERE created_at < now() - interval '1 minute'
    AND (
        state IN ('queued', 'running')
        -- the command line lists by itself, without a job
        OR state = 'listing' AND started_at < now() - interval '10 minutes'
    )
    AND NOT EXISTS (
        SELECT FROM procrastinate_jobs
        WHERE args ->> 'ingestion_id' = CAST(ingestion.id AS text) AND status IN ('todo', 'doing')
    )

-- :name begin_running :affected
UPDATE ingestion
SET state = 'running', listed = :listed, unchanged = :unchanged, skipped = :skipped,
    source_state = CAST(:source_state AS jsonb)
WHERE id = :ingestion_id

-- :name count_results :affected
UPDATE ingestion
SET listed = listed + :listed, unchanged = unchanged + :unchanged, stored = stored + :stored,
    deleted = deleted + :deleted, skipped = skipped + :skipped, failed = failed + :failed,
    passages = passages + :passages, embedded = embedded + :embedded
WHERE id = :ingestion_id

-- :name finish_ingestion :one
UPDATE ingestion
SET state = :state, error = :error, finished_at = now()
WHERE id = :ingestion_id
RETURNING source_id, source_state

-- :name reopen_ingestion :affected
-- :doc A retry of what failed.
UPDATE ingestion
SET state = :state, failed = 0, error = NULL, finished_at = NULL,
    origin = CAST(:origin AS jsonb)
WHERE id = :ingestion_id

-- :name insert_log :affected
INSERT INTO ingestion_log (ingestion_id, level, path, message)
VALUES (:ingestion_id, :level, :path, :message)

-- :name list_log :many
-- :doc Nothing when the caller may not read the run. What a run says of the source itself, as to
-- :doc why it can't be read, is for the source's owner and admins.
SELECT ingestion_log.id, ingestion_log.created_at, level, path, message
FROM ingestion_log
JOIN ingestion ON ingestion.id = ingestion_id
JOIN source ON source.id = ingestion.source_id
WHERE ingestion_id = :ingestion_id AND ingestion_log.id > :after_id
    AND (source.account_id = :account_id OR source.visibility = 'shared')
    AND (source.account_id = :account_id OR :is_admin OR path IS NOT NULL OR level = 'info')
ORDER BY ingestion_log.id
LIMIT :limit

-- :name count_listed :affected
UPDATE ingestion SET listed = listed + :listed WHERE id = :ingestion_id

-- :name delete_old_ingestions :affected
-- :doc Runs that ended long ago, but each source's last one: the next listing looks at it.
DELETE FROM ingestion
WHERE finished_at < now() - make_interval(days => :keep_days)
    AND EXISTS (
        SELECT FROM ingestion AS later
        WHERE later.source_id = ingestion.source_id AND later.created_at > ingestion.created_at
            AND later.finished_at IS NOT NULL
    )
