-- :name note_generation :affected
-- :doc What an answer in the making is made from, so that its part can be kept by somebody else.
UPDATE generation
SET sources = CAST(:sources AS jsonb), trace = CAST(:trace AS jsonb)
WHERE id = :id AND ended_at IS NULL

-- :name insert_events :many
-- :doc Append events to answers in the making; return which of them still are. Those that somebody
-- :doc is deleting just now are not waited for.
WITH given AS (
    SELECT id, number, events
    FROM jsonb_to_recordset(CAST(:batches AS jsonb))
        AS given (id uuid, number integer, events jsonb)
), open AS (
    SELECT generation.id
    FROM generation
    WHERE id IN (SELECT id FROM given) AND ended_at IS NULL
    FOR KEY SHARE SKIP LOCKED
), inserted AS (
    INSERT INTO generation_event (generation_id, number, events)
    SELECT given.id, given.number, given.events
    FROM given
    JOIN open ON open.id = given.id
    -- What was thought lost is sent again, together with what came after it.
    ON CONFLICT (generation_id, number) DO UPDATE SET events = excluded.events
)
SELECT id FROM open

-- :name check_generations :many
-- :doc Of some answers those still in the making: whether to stop, and how long ago another process
-- :doc had a reader.
SELECT id, cancel_requested,
    CAST(extract(epoch FROM now() - read_at) AS double precision) AS unread_sec
FROM generation
WHERE id = ANY(CAST(:ids AS uuid[])) AND ended_at IS NULL

-- :name end_generation :affected
UPDATE generation
SET ended_at = now(), expires_at = now() + make_interval(secs => kept_sec)
WHERE id = :id AND ended_at IS NULL

-- :name read_events :many
-- :doc What has happened to an answer since an event, and whether there will be more: one row at
-- :doc least, if there is such an answer.
SELECT generation.ended_at IS NOT NULL AS has_ended,
    NOT process_is_dead(generation.process_id, :process_id) AS is_alive,
    generation_event.number, generation_event.events
FROM generation
LEFT JOIN generation_event ON generation_event.generation_id = generation.id
    AND generation_event.number + jsonb_array_length(generation_event.events) > :after + 1
WHERE generation.id = :id AND generation.account_id = :account_id AND generation.is_resumable
ORDER BY generation_event.number

-- :name note_reader :affected
UPDATE generation SET read_at = now() WHERE id = :id AND ended_at IS NULL

-- :name request_cancel :affected
UPDATE generation
SET cancel_requested = true
WHERE id = :id AND account_id = :account_id AND is_resumable AND ended_at IS NULL

-- :name lock_owners_of_generation :many
-- :doc An answer's account, then its chat, as whoever deletes one of them does.
WITH owner AS (
    SELECT account.id
    FROM account
    WHERE id = (SELECT account_id FROM generation WHERE generation.id = :id)
    FOR KEY SHARE
)
SELECT chat.id
FROM chat
JOIN owner ON owner.id = chat.account_id
WHERE chat.id = (SELECT chat_id FROM generation WHERE generation.id = :id)
FOR NO KEY UPDATE OF chat

-- :name lock_abandoned_generation :one
-- :doc An answer whose process has died, unless somebody else is at it.
SELECT id, account_id, question_id, chat_id, is_resumable, model, sources, trace
FROM generation
WHERE id = :id AND ended_at IS NULL AND process_is_dead(process_id, :process_id)
FOR UPDATE SKIP LOCKED

-- :name list_abandoned_generations :many
SELECT id
FROM generation
WHERE ended_at IS NULL AND process_is_dead(process_id, :process_id)
LIMIT 100

-- :name read_all_events :many
SELECT number, events FROM generation_event WHERE generation_id = :id ORDER BY number

-- :name find_answer_state :one
-- :doc How far an answer has come; of one that was stopped before its first word there is no message.
SELECT generation.id, message.status, message.message, generation.ended_at IS NOT NULL AS has_ended
FROM generation
LEFT JOIN message ON message.id = generation.id
WHERE generation.id = :id AND generation.account_id = :account_id AND generation.is_resumable
UNION ALL
SELECT id, status, message, true
FROM message
WHERE id = :id AND account_id = :account_id AND role = 'assistant'
LIMIT 1

-- :name delete_expired_generations :affected
-- :doc With their events; it waits for nobody.
DELETE FROM generation WHERE id = ANY (ARRAY(
    SELECT id
    FROM generation
    WHERE expires_at < now()
    ORDER BY expires_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
))
