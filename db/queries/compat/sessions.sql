-- :name open_session :scalar
-- :doc An account's chat by the name that a client gave it; begun when there is none.
WITH begun AS (
    INSERT INTO chat (account_id, session_id)
    SELECT :account_id, :session_id
    WHERE NOT EXISTS (
        SELECT FROM chat WHERE account_id = :account_id AND session_id = :session_id
    )
    -- Begun by another request just now: this one doesn't see it yet, but may update it.
    ON CONFLICT (account_id, session_id) DO UPDATE SET title = chat.title
    RETURNING id
)
SELECT id FROM begun
UNION ALL
SELECT id FROM chat WHERE account_id = :account_id AND session_id = :session_id
LIMIT 1
