-- :name lock_asker :one
-- :doc Let an account's questions begin one after the other, so that they can be counted.
SELECT software_background, hardware_background
FROM account
WHERE id = :account_id
FOR NO KEY UPDATE

-- :name list_open_generations :many
-- :doc An account's answers in the making, and whether the process that makes them is alive.
SELECT id, chat_id, NOT process_is_dead(process_id, :process_id) AS is_alive
FROM generation
WHERE account_id = :account_id AND ended_at IS NULL

-- :name lock_chat :one
SELECT id, head_id FROM chat WHERE id = :chat_id AND account_id = :account_id FOR NO KEY UPDATE

-- :name find_chat_message :one
SELECT id, role, message, question_id, parent_id
FROM message
WHERE id = :id AND chat_id = :chat_id AND account_id = :account_id

-- :name read_branch :many
-- :doc A message of a chat and those before it, newest first.
WITH RECURSIVE branch AS (
    SELECT id, role, message, coalesce(question_id, parent_id) AS follows, 1 AS number
    FROM message
    WHERE id = :message_id AND chat_id = :chat_id AND account_id = :account_id
    UNION ALL
    SELECT previous.id, previous.role, previous.message, previous.follows, branch.number + 1
    FROM branch
    CROSS JOIN LATERAL (
        -- Each by itself: PostgreSQL would rather look through all messages at every step.
        SELECT id, account_id, role, message, coalesce(question_id, parent_id) AS follows
        FROM message
        WHERE id = branch.follows
        OFFSET 0
    ) AS previous
    WHERE branch.number < :limit AND previous.account_id = :account_id
)
SELECT id, role, message FROM branch ORDER BY number

-- :name begin_question :scalar
-- :doc Store a question and that its answer is in the making; of a chat, show its branch.
WITH question AS (
    INSERT INTO message (account_id, role, model, message, chat_id, parent_id)
    VALUES (:account_id, 'user', :model, :message, :chat_id, :parent_id)
    RETURNING id
), begun AS (
    INSERT INTO generation (
        id, account_id, question_id, chat_id, process_id, is_resumable, model, kept_sec
    )
    SELECT :answer_id, :account_id, question.id, :chat_id, :process_id, :is_resumable, :model,
        :kept_sec
    FROM question
), shown AS (
    UPDATE chat
    SET head_id = question.id, updated_at = now(),
        title = CASE WHEN title = '' THEN :title ELSE title END
    FROM question
    WHERE chat.id = :chat_id AND chat.account_id = :account_id
)
SELECT id FROM question

-- :name find_last_settings :one
-- :doc How a question was answered last: with which settings, if with documents, and whether from a
-- :doc selected text.
SELECT trace -> 'settings' AS settings, trace ->> 'selected_text_hash' AS selected_text_hash
FROM message
WHERE question_id = :question_id AND account_id = :account_id AND trace IS NOT NULL
ORDER BY created_at DESC, id DESC
LIMIT 1

-- :name begin_answer :affected
-- :doc Another answer to a question is in the making.
INSERT INTO generation (
    id, account_id, question_id, chat_id, process_id, is_resumable, model, kept_sec
)
VALUES (
    :answer_id, :account_id, :question_id, :chat_id, :process_id, :is_resumable, :model,
    :kept_sec
)

-- :name begin_passthrough :affected
-- :doc A call that is passed through to the language model; nothing of it is stored.
INSERT INTO generation (id, account_id, process_id, is_resumable, model, kept_sec)
VALUES (:answer_id, :account_id, :process_id, false, :model, 0)
