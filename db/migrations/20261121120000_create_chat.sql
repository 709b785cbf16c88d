-- migrate:up

-- Processes that answer. What one of them has begun is given up once it is not alive any more.
CREATE TABLE process (
    id uuid PRIMARY KEY,
    -- without a break
    alive_since timestamptz NOT NULL DEFAULT now(),
    alive_until timestamptz NOT NULL
);
-- Whether a process is dead in the eyes of another, which must have been alive for a while itself:
-- after PostgreSQL was away nobody's row is fresh, and all of them live.
CREATE FUNCTION process_is_dead(process_id uuid, witness_id uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT process_id <> witness_id
        AND NOT EXISTS (SELECT FROM process WHERE id = process_id AND alive_until > now())
        AND EXISTS (
            SELECT FROM process
            WHERE id = witness_id
                AND alive_until > now()
                AND alive_since < now() - interval '5 seconds'
        )
$$;

-- Conversations. Their messages are a tree: another answer to the same question, or another question
-- in place of one, begins a branch. The branch that is shown ends with the head.
CREATE TABLE chat (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    title text NOT NULL DEFAULT '',
    head_id uuid,
    -- what a client of /api/v1 calls it
    session_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, session_id)
);
CREATE INDEX chat_newest ON chat (account_id, updated_at DESC, id DESC);

ALTER TABLE message
    ADD COLUMN chat_id uuid REFERENCES chat ON DELETE CASCADE,
    -- of a question: the message that it follows; an answer follows its question
    ADD COLUMN parent_id uuid REFERENCES message ON DELETE CASCADE,
    ADD CHECK (parent_id IS NULL OR (role = 'user' AND chat_id IS NOT NULL));
CREATE INDEX message_chat_id ON message (chat_id, created_at, id) WHERE chat_id IS NOT NULL;
CREATE INDEX message_parent_id ON message (parent_id) WHERE parent_id IS NOT NULL;
-- What follows a message, or stands first in a chat. Of all messages: PostgreSQL would not know how
-- few stand in one place from the statistics of a partial index.
CREATE INDEX message_place ON message (coalesce(question_id, parent_id, chat_id), created_at, id);

-- What was said up to a message, in fewer words.
CREATE TABLE chat_summary (
    message_id uuid PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    summary text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Answers in the making, by their ids, and what those that can be resumed were made from. Once
-- ended they stay for a while, so that their events can be read again.
CREATE TABLE generation (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    question_id uuid NOT NULL REFERENCES message ON DELETE CASCADE,
    chat_id uuid REFERENCES chat ON DELETE CASCADE,
    process_id uuid NOT NULL,
    is_resumable boolean NOT NULL,
    model text NOT NULL,
    sources jsonb NOT NULL DEFAULT '[]',
    trace jsonb,
    cancel_requested boolean NOT NULL DEFAULT false,
    -- when a reader who is connected to another process was last there
    read_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    -- how long its events can still be read once it has ended, and until when that is
    kept_sec integer NOT NULL DEFAULT 3600,
    expires_at timestamptz
);
-- A chat is answered one question at a time.
CREATE UNIQUE INDEX generation_one_in_chat ON generation (chat_id) WHERE ended_at IS NULL;
CREATE INDEX generation_chat_id ON generation (chat_id) WHERE chat_id IS NOT NULL;
CREATE INDEX generation_open ON generation (account_id) WHERE ended_at IS NULL;
CREATE INDEX generation_abandoned ON generation (process_id) WHERE ended_at IS NULL;
CREATE INDEX generation_expires_at ON generation (expires_at);
CREATE INDEX generation_question_id ON generation (question_id);

-- Their events in batches; `number` is that of the first one, counted from 1.
CREATE TABLE generation_event (
    generation_id uuid NOT NULL REFERENCES generation ON DELETE CASCADE,
    number integer NOT NULL,
    -- [[name, data], ...], data as JSON in a string
    events jsonb NOT NULL,
    PRIMARY KEY (generation_id, number)
);

-- Requests that must have their effect once, however often they are sent. The answer is there once
-- the request has succeeded; one that failed is forgotten.
CREATE TABLE idempotent_request (
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    -- who works on it: one request of one process
    claim_id uuid NOT NULL DEFAULT gen_random_uuid(),
    process_id uuid NOT NULL,
    -- of a stream: the answer whose events are sent again
    generation_id uuid,
    status integer,
    headers jsonb,
    body text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotent_request_created_at ON idempotent_request (created_at);

-- migrate:down

DROP TABLE idempotent_request, generation_event, generation, chat_summary;
ALTER TABLE message DROP COLUMN parent_id, DROP COLUMN chat_id;
DROP TABLE chat, process;
DROP FUNCTION process_is_dead;
