-- :name use_limits :many
-- :doc Count what is used of each limit: how much that is in its window, and when that ends. See the
-- :doc function.
SELECT limit_key AS key, used, reset_sec FROM use_limits(CAST(:limits AS jsonb))

-- :name delete_ended_windows :affected
-- :doc Some of them; it waits for nobody.
DELETE FROM rate_limit WHERE key = ANY (ARRAY(
    SELECT key FROM rate_limit WHERE ends_at <= now() ORDER BY ends_at LIMIT 20
    FOR UPDATE SKIP LOCKED
))
