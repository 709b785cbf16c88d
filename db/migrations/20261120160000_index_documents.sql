-- migrate:up

-- Every point holds this much of its document. A chunk that stays the same while its document is
-- replaced is not written anew, but its point is.
CREATE FUNCTION document_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO index_change (chunk_id) SELECT id FROM chunk WHERE document_id = new.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER document_updated AFTER UPDATE OF source_id, path, updated_at ON document
    FOR EACH ROW
    WHEN (
        (old.source_id, old.path, old.updated_at)
            IS DISTINCT FROM (new.source_id, new.path, new.updated_at)
    )
    EXECUTE FUNCTION document_updated();

-- migrate:down

DROP TRIGGER document_updated ON document;
DROP FUNCTION document_updated;
