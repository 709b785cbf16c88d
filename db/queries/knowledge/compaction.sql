-- :name own_index_compaction :scalar
-- :doc Keep others from compacting until the transaction ends.
SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtext('brag.index_compaction'))) AS locked

-- :name mark_index_compaction :affected
-- :doc Note before which transaction changes are old enough to go. Its own stay: an index that is up
-- :doc to date, and idle for long, stands in the last transaction there is.
INSERT INTO index_compaction (database, xid)
SELECT :database, xid
FROM index_change
WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
    AND (
        created_at < now() - make_interval(days => :keep_days)
        OR created_at < now() - make_interval(hours => :keep_hours) AND xid < (
            SELECT xid FROM index_change ORDER BY xid DESC, id DESC OFFSET :keep_rows LIMIT 1
        )
    )
ORDER BY xid DESC
LIMIT 1
ON CONFLICT (database) DO UPDATE SET xid = greatest(index_compaction.xid, excluded.xid)

-- :name delete_old_index_changes :affected
-- :doc Those before the noted transaction, and those that came with a restored dump from transactions
-- :doc that are yet to come here.
DELETE FROM index_change
WHERE ctid = ANY (
    ARRAY(
        SELECT ctid
        FROM index_change
        WHERE xid < (SELECT xid FROM index_compaction WHERE database = :database)
            OR xid >= pg_snapshot_xmax(pg_current_snapshot())
        LIMIT :limit
    )
)

-- :name delete_repeated_index_changes :affected
-- :doc A change only says where to look, so the last one of a chunk is enough. Not the newest ones:
-- :doc somebody may be waiting for just that position.
DELETE FROM index_change AS earlier
WHERE created_at < now() - make_interval(hours => :keep_hours)
    AND EXISTS (
        SELECT FROM index_change AS later
        WHERE later.chunk_id = earlier.chunk_id
            AND (later.xid, later.id) > (earlier.xid, earlier.id)
            AND later.xid < pg_snapshot_xmin(pg_current_snapshot())
    )

-- :name delete_old_index_checks :affected
DELETE FROM index_check WHERE created_at < now() - make_interval(hours => 1)
