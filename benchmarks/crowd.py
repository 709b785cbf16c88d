"""Accounts with chats to measure on, put into PostgreSQL at once."""

__all__ = ["WORD", "crowd"]

# In every message.
WORD = "word"


def crowd(*, accounts: int, chats: int, messages: int) -> str:
    """Return statements that insert so many accounts, chats of each, and messages of all together.

    The local account is one of them. In every chat questions and answers take turns; one answer in
    ten has another beside it. All answers have ended, but for the last one of every tenth chat.
    """
    each = messages // (accounts * chats)
    return f"""
        -- A hundred thousand checks of every reference would take longer than all else.
        SET session_replication_role = replica;
        INSERT INTO account (email)
        SELECT 'person' || number || '@example.org' FROM generate_series(2, {accounts}) AS number;
        INSERT INTO chat (id, account_id, title, head_id, created_at, updated_at)
        SELECT given.id, account_id, 'Chat ' || number, md5(given.id || '.' || {each})::uuid,
            now() - interval '1 day', now() - number * interval '1 minute'
        FROM (
            SELECT gen_random_uuid() AS id, account.id AS account_id, number
            FROM account, generate_series(1, {chats}) AS number
        ) AS given;
        INSERT INTO message (
            id, account_id, chat_id, role, model, message, question_id, parent_id, created_at
        )
        SELECT md5(chat.id || '.' || number)::uuid, account_id, chat.id,
            CASE WHEN number % 2 = 1 THEN 'user' ELSE 'assistant' END, 'offline-extractive',
            'Message ' || number || ': ' || repeat('{WORD} ', 20 + number % 80),
            CASE WHEN number % 2 = 0 THEN before END,
            CASE WHEN number % 2 = 1 AND number > 1 THEN before END,
            chat.created_at + number * interval '1 s'
        FROM chat, generate_series(1, {each}) AS number,
            LATERAL (SELECT md5(chat.id || '.' || number - 1)::uuid AS before) AS placed;
        INSERT INTO message (account_id, chat_id, role, model, message, question_id, created_at)
        SELECT account_id, chat_id, role, model, message, question_id,
            created_at - interval '0.1 s'
        FROM message
        WHERE role = 'assistant' AND hashtext(id::text) % 10 = 0;
        INSERT INTO process (id, alive_until) VALUES (md5('')::uuid, now() + interval '1 hour');
        INSERT INTO generation (
            id, account_id, question_id, chat_id, process_id, is_resumable, model, ended_at
        )
        SELECT message.id, message.account_id, question_id, chat_id, md5('')::uuid, true, model,
            CASE
                WHEN message.id <> chat.head_id OR hashtext(chat.id::text) % 10 <> 0
                THEN message.created_at
            END
        FROM message
        JOIN chat ON chat.id = message.chat_id
        WHERE role = 'assistant';
        INSERT INTO generation_event (generation_id, number, events)
        SELECT id, 1, '[]' FROM generation;
        INSERT INTO idempotent_request (account_id, key, request_hash, process_id)
        SELECT account_id, id, sha256(id::text::bytea), process_id FROM generation;
        RESET session_replication_role;
        ANALYZE;
    """  # noqa: S608 -- numbers of ours
