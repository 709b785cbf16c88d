-- :name count_requests :many
-- :doc Count one request for each key: how many there are in its window, and when that ends. A
-- :doc window begins with the first request after the last one.
INSERT INTO rate_limit AS stored (key, count, ends_at)
SELECT decode(key, 'hex'), 1, now() + make_interval(secs => window_sec)
FROM jsonb_to_recordset(CAST(:limits AS jsonb)) AS given (key text, window_sec integer)
-- Rows are locked in one order, whoever counts: nobody waits for somebody who waits for them.
ORDER BY 1
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN stored.ends_at > now() THEN stored.count + 1 ELSE 1 END,
    ends_at = CASE WHEN stored.ends_at > now() THEN stored.ends_at ELSE excluded.ends_at END
RETURNING encode(key, 'hex') AS key, count,
    CAST(ceil(extract(epoch FROM ends_at - now())) AS integer) AS reset_sec

-- :name delete_ended_windows :affected
-- :doc Some of them; it waits for nobody.
DELETE FROM rate_limit WHERE key = ANY (ARRAY(
    SELECT key FROM rate_limit WHERE ends_at <= now() ORDER BY ends_at LIMIT 20
    FOR UPDATE SKIP LOCKED
))
