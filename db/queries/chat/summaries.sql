-- :name find_chat_summaries :many
-- :doc What was said up to some of an account's messages, as far as it was summed up.
SELECT chat_summary.message_id, chat_summary.summary
FROM jsonb_array_elements_text(CAST(:message_ids AS jsonb)) AS wanted (id)
JOIN chat_summary ON chat_summary.message_id = CAST(wanted.id AS uuid)
JOIN message ON message.id = chat_summary.message_id
WHERE message.account_id = :account_id

-- :name keep_chat_summary :one
-- :doc Keep what was said up to an account's message, and return it; the first one stays.
INSERT INTO chat_summary (message_id, summary)
SELECT id, :summary
FROM message
WHERE id = :message_id AND account_id = :account_id
ON CONFLICT (message_id) DO UPDATE SET summary = chat_summary.summary
RETURNING summary

-- :name read_past_messages :many
-- :doc Some of an account's messages in a chat, in the order in which they are named.
SELECT message.id, message.role, message.message
FROM jsonb_array_elements_text(CAST(:message_ids AS jsonb)) WITH ORDINALITY AS wanted (id, number)
JOIN message ON message.id = CAST(wanted.id AS uuid)
WHERE message.account_id = :account_id
ORDER BY wanted.number
