-- migrate:up

-- A folder's location is its absolute path, a repository's its URL with what is taken from it, a
-- site's its URL. All uploads have one source.
ALTER TABLE source
    DROP CONSTRAINT source_kind_check,
    ADD CONSTRAINT source_kind_check
        CHECK (kind IN ('folder', 'git', 'github', 'web', 'upload')),
    ADD COLUMN name text NOT NULL DEFAULT '',
    -- what the user said of it: app/knowledge/connectors/config.py
    ADD COLUMN config jsonb NOT NULL DEFAULT '{}',
    -- named on the command line, by somebody who may read whatever this machine may
    ADD COLUMN by_operator boolean NOT NULL DEFAULT false,
    -- what its last complete listing left for the next one: a commit, an ETag
    ADD COLUMN state jsonb NOT NULL DEFAULT '{}',
    -- synced again by itself
    ADD COLUMN every interval CHECK (every > interval '0'),
    ADD COLUMN synced_at timestamptz;

ALTER TABLE document
    -- the connector's word for what it fetched: a blob's id, a hash
    ADD COLUMN version text NOT NULL DEFAULT '',
    ADD COLUMN url text,
    ADD COLUMN media_type text NOT NULL DEFAULT 'text/markdown',
    -- the user's
    ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
    -- what its last fetch left for the next one
    ADD COLUMN state jsonb NOT NULL DEFAULT '{}';

CREATE INDEX document_newest ON document (created_at DESC, id DESC);

-- What was uploaded, as it came: with another recipe it is read and cut again.
CREATE TABLE upload (
    document_id uuid PRIMARY KEY,
    source_id uuid NOT NULL REFERENCES source ON DELETE CASCADE,
    path text NOT NULL,
    title text,
    media_type text,
    metadata jsonb NOT NULL DEFAULT '{}',
    content bytea NOT NULL,
    -- another one for each content: a job may have begun with the one before
    version uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (source_id, path)
);
-- PDFs and .docx files are compressed already.
ALTER TABLE upload ALTER COLUMN content SET STORAGE EXTERNAL;

-- One run over a source.
--
-- queued -> listing -> running -> succeeded | incomplete
--    any of these three -> cancelled | failed
--    failed | incomplete -> queued | running (a retry)
CREATE TABLE ingestion (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source_id uuid NOT NULL REFERENCES source ON DELETE CASCADE,
    cause text NOT NULL CHECK (cause IN ('request', 'schedule', 'upload', 'replay')),
    -- whether what is unchanged is fetched and stored again too
    everything boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'queued' CHECK (
        state IN ('queued', 'listing', 'running', 'succeeded', 'incomplete', 'failed', 'cancelled')
    ),
    listed integer NOT NULL DEFAULT 0,
    unchanged integer NOT NULL DEFAULT 0,
    stored integer NOT NULL DEFAULT 0,
    deleted integer NOT NULL DEFAULT 0,
    skipped integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    passages integer NOT NULL DEFAULT 0,
    embedded integer NOT NULL DEFAULT 0,
    -- asked for once more after it had looked: another run follows
    again boolean NOT NULL DEFAULT false,
    -- how often a listing has begun: only the last one counts, the others were taken for dead
    listings integer NOT NULL DEFAULT 0,
    -- how it makes text and chunks of files, see document
    recipe text NOT NULL DEFAULT '',
    -- why the run itself failed, for people
    error text,
    -- becomes the source's when the run has succeeded
    source_state jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
);

CREATE INDEX ingestion_newest ON ingestion (created_at DESC, id DESC);
CREATE INDEX ingestion_source_id ON ingestion (source_id, created_at DESC);
-- Two runs over one source would undo each other's work. Uploads touch their own documents only.
CREATE UNIQUE INDEX ingestion_one_active ON ingestion (source_id)
    WHERE state IN ('queued', 'listing', 'running') AND cause <> 'upload';

-- One document of a run; those that are unchanged by their version have none.
--
-- pending -> fetched -> stored | unchanged | deleted | skipped | failed | cancelled
-- vanished -> deleted | cancelled (when all others are done)
CREATE TABLE ingestion_item (
    ingestion_id uuid NOT NULL REFERENCES ingestion ON DELETE CASCADE,
    path text NOT NULL,
    state text NOT NULL CHECK (
        state IN (
            'pending', 'fetched', 'vanished',
            'stored', 'unchanged', 'deleted', 'skipped', 'failed', 'cancelled'
        )
    ),
    version text NOT NULL DEFAULT '',
    url text,
    media_type text,
    -- links followed to get here
    depth integer NOT NULL DEFAULT 0,
    -- becomes the document's
    document_state jsonb NOT NULL DEFAULT '{}',
    -- from when it was listed or fetched until it is stored
    content bytea,
    attempts integer NOT NULL DEFAULT 0,
    -- why it was skipped, deleted or failed, or what the last attempt met; for people
    error text,
    finished_at timestamptz,
    PRIMARY KEY (ingestion_id, path)
);

CREATE INDEX ingestion_item_open ON ingestion_item (ingestion_id)
    WHERE state IN ('pending', 'fetched', 'vanished');

CREATE TABLE ingestion_log (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    ingestion_id uuid NOT NULL REFERENCES ingestion ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    level text NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    path text,
    message text NOT NULL
);

CREATE INDEX ingestion_log_ingestion_id ON ingestion_log (ingestion_id, id);

-- migrate:down

DROP TABLE ingestion_log;
DROP TABLE ingestion_item;
DROP TABLE ingestion;
DROP TABLE upload;
DROP INDEX document_newest;
ALTER TABLE document
    DROP COLUMN version,
    DROP COLUMN url,
    DROP COLUMN media_type,
    DROP COLUMN metadata,
    DROP COLUMN state;
-- An earlier bRAG knows folders only.
DELETE FROM source WHERE kind <> 'folder';
ALTER TABLE source
    DROP CONSTRAINT source_kind_check,
    ADD CONSTRAINT source_kind_check CHECK (kind IN ('folder')),
    DROP COLUMN name,
    DROP COLUMN config,
    DROP COLUMN by_operator,
    DROP COLUMN state,
    DROP COLUMN every,
    DROP COLUMN synced_at;
