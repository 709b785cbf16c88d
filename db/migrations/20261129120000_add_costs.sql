-- migrate:up

-- What an answer has cost, with the prices of its time and all that it took; null when unknown.
ALTER TABLE message ADD COLUMN cost numeric CHECK (cost >= 0);

-- Calls of language models, one row each. They stay when what they were for is deleted.
CREATE TABLE model_call (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- as it was asked for
    model text NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('answer', 'rewriting', 'summary')),
    -- null where the language model doesn't say
    prompt_tokens integer,
    completion_tokens integer,
    cost numeric CHECK (cost >= 0)
);
CREATE INDEX model_call_account_id ON model_call (account_id, created_at);

-- migrate:down

DROP TABLE model_call;
ALTER TABLE message DROP COLUMN cost;
