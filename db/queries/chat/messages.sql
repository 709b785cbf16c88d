-- :name insert_question :one
-- :doc Store a question and return its id.
INSERT INTO message (role, model, message)
VALUES ('user', :model, :message)
RETURNING id, created_at

-- :name insert_answer :one
-- :doc Store an answer with what it was made from.
INSERT INTO message (
    id, question_id, role, status, model, message, finish_reason,
    prompt_tokens, completion_tokens, sources
)
VALUES (
    :id, :question_id, 'assistant', :status, :model, :message, :finish_reason,
    :prompt_tokens, :completion_tokens, CAST(:sources AS jsonb)
)
RETURNING id, created_at

-- :name list_messages :many
-- :doc The newest messages, from the one after the cursor on.
SELECT id, question_id, role, status, model, message, prompt_tokens, completion_tokens,
    sources, created_at
FROM message
WHERE CAST(:before_time AS timestamptz) IS NULL
    OR (created_at, id) < (CAST(:before_time AS timestamptz), CAST(:before_id AS uuid))
ORDER BY created_at DESC, id DESC
LIMIT :limit
