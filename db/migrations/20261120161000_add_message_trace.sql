-- migrate:up

-- What an answer was made from, so that it can be explained and given again. Neither
-- column holds a document's text: what is deleted there must not live on here.
ALTER TABLE message
    ADD COLUMN citations jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN trace jsonb;

-- migrate:down

ALTER TABLE message
    DROP COLUMN trace,
    DROP COLUMN citations;
