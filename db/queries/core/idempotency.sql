-- :name claim_request :one
-- :doc Claim a key, unless somebody else has it: then what they have come to. A claim whose process
-- :doc has died is free; our own process lives, whatever its row says. No row means that the key has
-- :doc changed hands meanwhile. Some that nobody can repeat any more are deleted beside it.
WITH expired AS (
    DELETE FROM idempotent_request
    WHERE (account_id, key) IN (
        SELECT account_id, key
        FROM idempotent_request
        WHERE created_at <= now() - make_interval(hours => :kept_hours)
            AND (account_id, key) <> (:account_id, :key)
        ORDER BY created_at
        LIMIT 20
        FOR UPDATE SKIP LOCKED
    )
), claimed AS (
    INSERT INTO idempotent_request AS stored (
        account_id, key, request_hash, claim_id, process_id
    )
    VALUES (:account_id, :key, :request_hash, :claim_id, :process_id)
    ON CONFLICT (account_id, key) DO UPDATE SET
        request_hash = excluded.request_hash,
        claim_id = excluded.claim_id,
        process_id = excluded.process_id,
        generation_id = NULL,
        status = NULL,
        headers = NULL,
        body = NULL,
        created_at = now()
    WHERE stored.created_at <= now() - make_interval(hours => :kept_hours)
        OR (
            stored.status IS NULL
            AND stored.generation_id IS NULL
            AND stored.process_id <> excluded.process_id
            AND NOT EXISTS (
                SELECT FROM process
                WHERE process.id = stored.process_id AND process.alive_until > now()
            )
        )
    RETURNING request_hash
)
SELECT true AS is_claimed, request_hash, NULL AS generation_id, NULL AS status, NULL AS headers,
    NULL AS body
FROM claimed
UNION ALL
SELECT false, request_hash, generation_id, status, headers, body
FROM idempotent_request
WHERE account_id = :account_id AND key = :key AND NOT EXISTS (SELECT FROM claimed)

-- :name complete_request :affected
-- :doc Keep what a request is answered with, if it still has its claim.
UPDATE idempotent_request
SET status = :status, headers = CAST(:headers AS jsonb), body = :body
WHERE account_id = :account_id AND key = :key AND claim_id = :claim_id AND status IS NULL

-- :name note_generation_of_request :affected
UPDATE idempotent_request
SET generation_id = :generation_id
WHERE account_id = :account_id AND key = :key AND claim_id = :claim_id AND status IS NULL

-- :name forget_request :affected
-- :doc Give up a claim: the request has failed.
DELETE FROM idempotent_request
WHERE account_id = :account_id AND key = :key AND claim_id = :claim_id AND status IS NULL

-- :name forget_generation :affected
-- :doc Give up the claim whose result was an answer that has failed.
DELETE FROM idempotent_request
WHERE account_id = :account_id AND generation_id = :generation_id
