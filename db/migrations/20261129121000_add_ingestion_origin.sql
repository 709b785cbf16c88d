-- migrate:up

-- The request that a run began with: its id and trace, which the logs and traces of its jobs name.
ALTER TABLE ingestion ADD COLUMN origin jsonb NOT NULL DEFAULT '{}';

-- migrate:down

ALTER TABLE ingestion DROP COLUMN origin;
