-- migrate:up

-- Questions and answers. An answer belongs to its question and keeps what it was
-- made from; a stream that broke off is kept as far as it came.
CREATE TABLE message (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    question_id uuid REFERENCES message ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('user', 'system', 'assistant')),
    status text NOT NULL DEFAULT 'complete'
        CHECK (status IN ('complete', 'cancelled', 'failed')),
    model text NOT NULL,
    message text NOT NULL,
    finish_reason text,
    prompt_tokens integer,
    completion_tokens integer,
    sources jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (role <> 'assistant' OR question_id IS NOT NULL)
);
CREATE INDEX message_newest ON message (created_at DESC, id DESC);
CREATE INDEX message_question_id ON message (question_id);

-- migrate:down

DROP TABLE message;
