-- :name insert_chat :scalar
INSERT INTO chat (account_id, title) VALUES (:account_id, :title) RETURNING id

-- :name find_chat :one
-- :doc An account's chat, and which answer a living process makes in it.
SELECT chat.id, chat.title, chat.head_id, chat.created_at, chat.updated_at,
    (SELECT count(*) FROM message WHERE message.chat_id = chat.id) AS message_count,
    (
        SELECT generation.id
        FROM generation
        JOIN process ON process.id = generation.process_id
        WHERE generation.chat_id = chat.id AND generation.ended_at IS NULL
            AND process.alive_until > now()
    ) AS generating
FROM chat
WHERE chat.id = :chat_id AND chat.account_id = :account_id

-- :name list_chats :many
-- :doc An account's chats, latest used first, after a cursor. With a pattern, those whose title or
-- :doc message matches it, and the newest such message, or else the title, as `found`.
SELECT chat.id, chat.title, chat.created_at, chat.updated_at,
    (SELECT count(*) FROM message WHERE message.chat_id = chat.id) AS message_count,
    (
        SELECT generation.id
        FROM generation
        JOIN process ON process.id = generation.process_id
        WHERE generation.chat_id = chat.id AND generation.ended_at IS NULL
            AND process.alive_until > now()
    ) AS generating,
    CASE
        WHEN CAST(:pattern AS text) IS NOT NULL THEN coalesce(matching.message, chat.title)
    END AS found
FROM chat
LEFT JOIN LATERAL (
    SELECT message.message
    FROM message
    WHERE message.chat_id = chat.id AND message.message ILIKE CAST(:pattern AS text)
    ORDER BY message.created_at DESC, message.id DESC
    LIMIT 1
) AS matching ON true
WHERE chat.account_id = :account_id
    AND (
        CAST(:pattern AS text) IS NULL
        OR chat.title ILIKE CAST(:pattern AS text) OR matching.message IS NOT NULL
    )
    AND (
        CAST(:before_time AS timestamptz) IS NULL
        OR (chat.updated_at, chat.id)
            < (CAST(:before_time AS timestamptz), CAST(:before_id AS uuid))
    )
ORDER BY chat.updated_at DESC, chat.id DESC
LIMIT :limit

-- :name update_chat :affected
-- :doc What is null stays.
UPDATE chat
SET title = coalesce(CAST(:title AS text), title),
    head_id = coalesce(CAST(:head_id AS uuid), head_id)
WHERE id = :chat_id AND account_id = :account_id

-- :name delete_chat :affected
-- :doc With its messages, their summaries, the answers in the making, and those that keys would repeat.
WITH owner AS (
    -- Before the chat, as whoever deletes the account does.
    SELECT id FROM account WHERE id = :account_id FOR KEY SHARE
), repeatable AS (
    DELETE FROM idempotent_request
    WHERE account_id = :account_id
        AND body LIKE '%"chat_id":"' || CAST(:chat_id AS uuid) || '"%'
)
DELETE FROM chat
USING owner
WHERE chat.id = :chat_id AND chat.account_id = owner.id

-- :name find_head :one
-- :doc The last message of the branch that a chat shows; null while the chat is empty.
SELECT head_id FROM chat WHERE id = :chat_id AND account_id = :account_id

-- :name find_newest_after :scalar
-- :doc The newest of what follows a message of a chat, the message itself if nothing does.
WITH RECURSIVE following AS (
    SELECT id, created_at, 0 AS depth
    FROM message
    WHERE id = :message_id AND chat_id = :chat_id AND account_id = :account_id
    UNION ALL
    -- Never older than what it follows, however clocks are set: so the last one ends a branch.
    SELECT next.id, greatest(next.created_at, following.created_at), following.depth + 1
    FROM following
    CROSS JOIN LATERAL (
        -- By its place alone, and each by itself: PostgreSQL takes all chats to be short, and would
        -- rather look through a long one at every step.
        SELECT id, account_id, created_at
        FROM message
        WHERE coalesce(question_id, parent_id, chat_id) = following.id AND chat_id IS NOT NULL
        OFFSET 0
    ) AS next
    WHERE next.account_id = :account_id
)
SELECT id FROM following ORDER BY created_at DESC, depth DESC, id DESC LIMIT 1

-- :name list_chat_messages :many
-- :doc A message of a chat and those that lead to it, newest first, each with all that stand in its
-- :doc place.
WITH RECURSIVE branch AS (
    SELECT id, coalesce(question_id, parent_id) AS follows, 1 AS number
    FROM message
    WHERE id = :message_id AND chat_id = :chat_id AND account_id = :account_id
    UNION ALL
    SELECT previous.id, previous.follows, branch.number + 1
    FROM branch
    CROSS JOIN LATERAL (
        -- Each by itself, as above.
        SELECT id, account_id, coalesce(question_id, parent_id) AS follows
        FROM message
        WHERE id = branch.follows
        OFFSET 0
    ) AS previous
    WHERE branch.number < :limit AND previous.account_id = :account_id
)
SELECT message.id, message.question_id, message.chat_id, message.parent_id, message.role,
    message.status, message.model, message.message, message.prompt_tokens,
    message.completion_tokens, message.cost, message.sources, message.citations, message.created_at,
    ARRAY(
        SELECT other.id
        FROM (
            SELECT id, account_id, created_at
            FROM message
            WHERE coalesce(question_id, parent_id, chat_id)
                    = coalesce(branch.follows, CAST(:chat_id AS uuid))
                AND chat_id IS NOT NULL
            OFFSET 0
        ) AS other
        WHERE other.account_id = :account_id
        ORDER BY other.created_at, other.id
    ) AS alternatives
FROM branch
CROSS JOIN LATERAL (SELECT * FROM message WHERE id = branch.id OFFSET 0) AS message
ORDER BY branch.number

-- :name find_stored_message :one
SELECT id, question_id, chat_id, parent_id, role, status, model, message, prompt_tokens,
    completion_tokens, cost, sources, citations, created_at
FROM message
WHERE id = :message_id AND account_id = :account_id
