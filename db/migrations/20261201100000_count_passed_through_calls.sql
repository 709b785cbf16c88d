-- migrate:up

-- Calls that are passed through to the language model count as answers in the making. There is no
-- stored question to them.
ALTER TABLE generation ALTER COLUMN question_id DROP NOT NULL;

-- migrate:down

DELETE FROM generation WHERE question_id IS NULL;
ALTER TABLE generation ALTER COLUMN question_id SET NOT NULL;
