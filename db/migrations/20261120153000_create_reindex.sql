-- migrate:up

-- next_model: what a reindex that has not ended embeds everything with. Its vectors are kept.
-- switched_at: when another model was replaced whose vectors are kept for a while; null: none was,
-- or they are gone.
ALTER TABLE index_model
    ADD COLUMN next_model text CHECK (next_model <> model),
    ADD COLUMN switched_at timestamptz;

-- migrate:down

ALTER TABLE index_model DROP COLUMN next_model, DROP COLUMN switched_at;
