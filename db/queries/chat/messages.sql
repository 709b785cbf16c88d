-- :name insert_question :one
-- :doc Store a question and return its id, with what the one who asks knows.
WITH question AS (
    INSERT INTO message (account_id, role, model, message)
    VALUES (:account_id, 'user', :model, :message)
    RETURNING id, account_id
)
SELECT question.id, account.software_background, account.hardware_background
FROM question
JOIN account ON account.id = question.account_id

-- :name insert_answer :one
-- :doc Store an answer with what it was made from; of a chat, show its branch. None when its account
-- :doc or its chat has been deleted, or the part that there was has been stored already.
WITH owner AS (
    -- Before the question, as whoever deletes the account does.
    SELECT id FROM account WHERE id = :account_id FOR KEY SHARE
), shown AS (
    UPDATE chat
    SET head_id = :id, updated_at = now()
    FROM owner
    WHERE chat.id = :chat_id AND chat.account_id = owner.id
    RETURNING chat.id
), called AS (
    INSERT INTO model_call (account_id, model, purpose, prompt_tokens, completion_tokens, cost)
    SELECT owner.id, given.*
    FROM owner
    CROSS JOIN jsonb_to_recordset(CAST(:calls AS jsonb)) AS given (
        model text, purpose text, prompt_tokens integer, completion_tokens integer, cost numeric
    )
)
INSERT INTO message (
    id, account_id, chat_id, question_id, role, status, model, message, finish_reason,
    prompt_tokens, completion_tokens, cost, sources, citations, trace
)
SELECT :id, owner.id, :chat_id, :question_id, 'assistant', :status, :model, :message, :finish_reason,
    :prompt_tokens, :completion_tokens, CAST(:cost AS numeric), CAST(:sources AS jsonb), CAST(:citations AS jsonb),
    CAST(:trace AS jsonb)
FROM owner
WHERE CAST(:chat_id AS uuid) IS NULL OR EXISTS (SELECT FROM shown)
ON CONFLICT (id) DO NOTHING
RETURNING id, created_at

-- :name list_messages :many
-- :doc An account's newest messages, from the one after the cursor on.
SELECT id, question_id, chat_id, parent_id, role, status, model, message, prompt_tokens,
    completion_tokens, cost, sources, citations, created_at
FROM message
WHERE account_id = :account_id
    AND (
        CAST(:before_time AS timestamptz) IS NULL
        OR (created_at, id) < (CAST(:before_time AS timestamptz), CAST(:before_id AS uuid))
    )
ORDER BY created_at DESC, id DESC
LIMIT :limit

-- :name find_answer :one
-- :doc An account's answer with its question and what it was made from.
SELECT answer.id, answer.question_id, answer.status, answer.model, answer.message,
    answer.prompt_tokens, answer.completion_tokens, answer.cost,
    answer.created_at, answer.sources, answer.citations, answer.trace,
    question.message AS question
FROM message AS answer
JOIN message AS question ON question.id = answer.question_id
WHERE answer.id = :id AND answer.account_id = :account_id

-- :name locate_passages :many
-- :doc What stands where passages were, on which line it begins, and the chunks that are there; of
-- :doc documents that the account may read.
SELECT given.number, document.media_type,
    substr(document.text, given.start + 1, given."end" - given.start) AS text,
    CASE
        WHEN given.count_lines
        THEN 1 + given.start - length(replace(left(document.text, given.start), chr(10), ''))
    END AS first_line,
    (
        SELECT coalesce(
            jsonb_agg(
                jsonb_build_object('id', chunk.id, 'start', chunk.start_offset)
                ORDER BY chunk.start_offset
            ),
            '[]'
        )
        FROM chunk
        WHERE chunk.document_id = document.id
            AND chunk.start_offset < given."end" AND chunk.end_offset > given.start
    ) AS chunks
FROM jsonb_to_recordset(CAST(:passages AS jsonb)) AS given (
    number integer, document_id uuid, start integer, "end" integer, count_lines boolean
)
JOIN document ON document.id = given.document_id
JOIN source ON source.id = document.source_id
WHERE source.account_id = :account_id OR source.visibility = 'shared'

-- :name read_passages :many
-- :doc What stands now where the chunks of passages are, of documents that the account may read.
SELECT given.number, document.id AS document_id,
    min(chunk.start_offset) AS start, max(chunk.end_offset) AS "end",
    substr(
        document.text, min(chunk.start_offset) + 1,
        max(chunk.end_offset) - min(chunk.start_offset)
    ) AS text
FROM jsonb_to_recordset(CAST(:passages AS jsonb)) AS given (number integer, chunk_ids jsonb)
CROSS JOIN LATERAL jsonb_array_elements_text(given.chunk_ids) AS wanted (id)
JOIN chunk ON chunk.id = CAST(wanted.id AS uuid)
JOIN document ON document.id = chunk.document_id
JOIN source ON source.id = document.source_id
WHERE source.account_id = :account_id OR source.visibility = 'shared'
GROUP BY given.number, document.id
