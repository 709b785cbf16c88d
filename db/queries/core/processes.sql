-- :name upsert_process :affected
-- :doc Be alive for a while; forget those that have long been dead.
WITH dead AS (
    DELETE FROM process WHERE alive_until < now() - interval '1 hour'
)
INSERT INTO process (id, alive_until)
VALUES (:id, now() + make_interval(secs => :alive_sec))
ON CONFLICT (id) DO UPDATE SET
    alive_since =
        CASE WHEN process.alive_until > now() THEN process.alive_since ELSE now() END,
    alive_until = excluded.alive_until

-- :name delete_process :affected
DELETE FROM process WHERE id = :id
