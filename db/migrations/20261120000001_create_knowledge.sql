-- migrate:up

-- Where documents come from. A folder's location is its absolute path.
CREATE TABLE source (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL CHECK (kind IN ('folder')),
    location text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, location)
);

-- The text that the offsets of chunks and citations point into.
-- id is uuid5(source, path): the same file is the same document for ever.
CREATE TABLE document (
    id uuid PRIMARY KEY,
    source_id uuid NOT NULL REFERENCES source ON DELETE CASCADE,
    path text NOT NULL,
    title text NOT NULL,
    content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    -- How the file became text and chunks: with another recipe it is read and cut again.
    recipe text NOT NULL,
    text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (source_id, path)
);

-- id is uuid5(document, content hash, occurrence): what is embedded of a chunk never changes,
-- so a point in the index is written once, however often its document is replaced.
CREATE TABLE chunk (
    id uuid PRIMARY KEY,
    document_id uuid NOT NULL REFERENCES document ON DELETE CASCADE,
    ordinal integer NOT NULL,
    start_offset integer NOT NULL CHECK (start_offset >= 0),
    end_offset integer NOT NULL CHECK (end_offset > start_offset),
    heading_path text[] NOT NULL,
    -- of the heading path and the text, as they are embedded
    content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    text text NOT NULL
);
CREATE INDEX chunk_document_id ON chunk (document_id, ordinal);
CREATE INDEX chunk_content_hash ON chunk (content_hash);

-- A text is embedded once per model, whatever documents it is in.
CREATE TABLE embedding (
    content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    model text NOT NULL,
    -- float32, little-endian
    vector bytea NOT NULL,
    PRIMARY KEY (content_hash, model)
);

-- The one model that all vectors of the index come from; set by the first ingestion.
CREATE TABLE index_model (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    model text NOT NULL,
    dimensions integer NOT NULL CHECK (dimensions > 0)
);

-- The transactional outbox that every index follows: a row says that a chunk was
-- written or removed, not what it is now. Transactions commit out of order, so a
-- reader takes only rows of transactions below the oldest one still running, in
-- the order of (xid, id).
CREATE TABLE index_change (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id bigint GENERATED ALWAYS AS IDENTITY,
    chunk_id uuid NOT NULL,
    PRIMARY KEY (xid, id)
);

CREATE FUNCTION index_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY index_change;
    RETURN NULL;
END
$$;
CREATE TRIGGER index_change_notify AFTER INSERT ON index_change
    FOR EACH STATEMENT EXECUTE FUNCTION index_changed();

-- Whatever changes a chunk, the indexes hear of it: no statement can forget to.
CREATE FUNCTION chunk_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO index_change (chunk_id) SELECT id FROM inserted;
    RETURN NULL;
END
$$;
CREATE TRIGGER chunk_inserted AFTER INSERT ON chunk
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION chunk_inserted();

CREATE FUNCTION chunk_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO index_change (chunk_id) SELECT id FROM deleted;
    RETURN NULL;
END
$$;
CREATE TRIGGER chunk_deleted AFTER DELETE ON chunk
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION chunk_deleted();

-- migrate:down

DROP TABLE index_change, index_model, embedding, chunk, document, source;
DROP FUNCTION index_changed, chunk_inserted, chunk_deleted;
