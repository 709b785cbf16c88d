-- :name find_account :one
SELECT id, email, role, name, software_background, hardware_background, created_at
FROM account
WHERE id = :account_id

-- :name update_account :one
-- :doc What is not given stays.
UPDATE account
SET name = CASE WHEN :has_name THEN :name ELSE name END,
    software_background =
        CASE WHEN :has_software THEN :software_background ELSE software_background END,
    hardware_background =
        CASE WHEN :has_hardware THEN :hardware_background ELSE hardware_background END
WHERE id = :account_id
RETURNING id, email, role, name, software_background, hardware_background, created_at

-- :name lock_account_tokens :one
-- :doc Let nobody else give an account tokens, until the transaction ends.
SELECT id FROM account WHERE id = :account_id FOR NO KEY UPDATE

-- :name lock_account :one
-- :doc Let nobody add anything to an account that is about to go. Whoever locks more than this
-- :doc locks the account first, then sources, then all else.
SELECT id, role, email FROM account WHERE id = :account_id FOR UPDATE

-- :name lock_admins :scalar
-- :doc Two admins who leave at the same time do so one after the other.
SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtext('brag.admins'))) AS locked

-- :name has_other_admin :scalar
SELECT EXISTS (
    SELECT FROM account
    WHERE role = 'admin' AND id NOT IN (:account_id, :local_account_id)
)

-- :name lock_account_sources :many
-- :doc In one order, and before anything that belongs to them, as every run does it.
SELECT id FROM source WHERE account_id = :account_id ORDER BY id FOR UPDATE

-- :name cancel_account_jobs :many
-- :doc Jobs that begin later find that their run is gone.
SELECT procrastinate_cancel_job_v1(procrastinate_jobs.id, true, false) AS id
FROM procrastinate_jobs
WHERE status IN ('todo', 'doing')
    AND args ->> 'ingestion_id' IN (
        SELECT CAST(ingestion.id AS text)
        FROM ingestion
        JOIN source ON source.id = ingestion.source_id
        WHERE source.account_id = :account_id
    )

-- :name count_account_documents :scalar
SELECT count(*)
FROM document
JOIN source ON source.id = document.source_id
WHERE source.account_id = :account_id

-- :name delete_account_sources :affected
-- :doc With their documents, chunks, uploads and ingestions; the indexes hear of each chunk.
DELETE FROM source WHERE account_id = :account_id

-- :name delete_account_messages :affected
DELETE FROM message WHERE account_id = :account_id

-- :name delete_login_links :affected
-- :doc One that is being used or removed just now goes by itself.
DELETE FROM login_link
WHERE token_hash IN (
    SELECT token_hash FROM login_link WHERE email = :email FOR UPDATE SKIP LOCKED
)

-- :name delete_account_tokens :affected
DELETE FROM access_token WHERE account_id = :account_id

-- :name wait_for_locks :scalar
-- :doc As long as a statement may take, until the transaction ends.
SELECT set_config('lock_timeout', '0', true)

-- :name delete_account :affected
-- :doc With its tokens.
DELETE FROM account WHERE id = :account_id
